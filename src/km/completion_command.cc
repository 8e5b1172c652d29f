// `km completion SHELL`: a script that completes servers and flags. The script asks `km __complete`, so that it never says what this
// program does not know.
#include <fmt/format.h>

#include <map>

#include "base/flags.h"
#include "km/commands.h"
#include "km/completion.h"

namespace km {
namespace {

constexpr std::string_view kBash = R"(# bash completion of {0}:  source <({0} completion bash)
_{1}_complete() {{
  local IFS=$'\n'
  local found
  found=$("${{COMP_WORDS[0]}}" __complete "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null | cut -f1)
  COMPREPLY=($(compgen -W "$found" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _{1}_complete {0}
)";

constexpr std::string_view kZsh = R"(#compdef {0}
# zsh completion of {0}:  source <({0} completion zsh)
_{1}_complete() {{
  local -a found
  found=("${{(@f)$("${{words[1]}}" __complete "${{(@)words[2,CURRENT]}}" 2>/dev/null | sed 's/:/\\:/g; s/\t/:/')}}")
  if [[ -n "$found[1]" ]]; then _describe '{0}' found; else _files; fi
}}
compdef _{1}_complete {0}
)";

constexpr std::string_view kFish = R"(# fish completion of {0}:  {0} completion fish | source
function __{1}_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c {0} -a '(__{1}_complete)'
)";

}  // namespace

std::string completionScript(std::string_view shell, std::string_view program) {
  std::string_view text = shell == "bash" ? kBash : shell == "zsh" ? kZsh : shell == "fish" ? kFish : std::string_view();
  if (text.empty()) return "";
  std::string identifier(program);
  for (char& c : identifier) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return fmt::format(fmt::runtime(text), program, identifier);
}

std::string completions(const std::vector<std::string>& words) {
  std::string out;
  std::string_view last = words.empty() ? std::string_view() : std::string_view(words.back());
  if (words.size() <= 1) {
    for (const Server& s : allServers()) {
      if (s.name.starts_with(last)) out += fmt::format("{}\t{}\n", s.name, s.oneLine);
    }
    return out;
  }
  if (!last.starts_with("-")) return out;  // the shell completes names of files
  for (const Server& s : allServers()) {
    if (s.name != words[0]) continue;
    // The server defines its flags and then asks to have them parsed: that is when they are told.
    ServerCall call{&s, "km", {}, [](std::string_view) {}, [](std::string_view) {}};
    call.showFlags = [&](const FlagSet& flags) {
      flags.visitAll([&](const Flag& f) {
        std::string name = "--" + f.name();
        if (f.isHidden() || !name.starts_with(last)) return;
        std::string usage = f.usage().substr(0, f.usage().find('\n'));
        std::erase(usage, '`');
        out += fmt::format("{}\t{}\n", name, usage);
      });
    };
    s.run(call);
  }
  return out;
}

int runCompletion(ServerCall& call) {
  FlagSet flags(std::string(call.server->name));
  if (auto done = parseServerFlags(call, flags)) return *done;
  std::string script = flags.args().size() == 1 ? completionScript(flags.args()[0], call.program) : "";
  if (script.empty()) return finish(call, errors::badRequest("say for which shell: km completion bash|zsh|fish"));
  call.answer(script);
  return 0;
}

}  // namespace km
