#include "km/program.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/flags.h"
#include "base/log.h"
#include "base/strings.h"
#include "km/base_flags.h"
#include "km/completion.h"

namespace km {
namespace {

std::string baseName(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::string wrapText(std::string_view text, std::string_view indent) {
  constexpr size_t kColumns = 80;
  std::string out, line;
  auto flush = [&] {
    if (!line.empty()) out += std::string(indent) + line + '\n';
    line.clear();
  };
  for (std::string_view paragraph : split(text, '\n')) {
    if (paragraph.empty()) out += '\n';
    for (std::string_view word : split(paragraph, ' ')) {
      if (word.empty()) continue;
      if (!line.empty() && indent.size() + line.size() + 1 + word.size() > kColumns) flush();
      if (!line.empty()) line += ' ';
      line += word;
    }
    flush();
  }
  return out;
}

std::string Program::usage() const {
  std::string text = wrapText(about, "") + "\nUsage\n\n  " + name + " <server> [flags]\n\nServers\n";
  for (const Server& server : servers) {
    text += "\n  " + std::string(server.name) + "\n" + wrapText(trimSpace(server.help), "    ");
  }
  text +=
      "\nCall '" + name + " --make-symlinks' to create symlinks for each server in the local directory.\n";
  text += "Call '" + name + " <server> --help' for help on a specific server.\n";
  return text;
}

const Server* Program::find(std::string_view wanted) const {
  for (const Server& server : servers) {
    bool alias = std::find(server.aliases.begin(), server.aliases.end(), wanted) != server.aliases.end();
    if (server.name == wanted || alias) return &server;
  }
  return nullptr;
}

int Program::makeSymlinks() const {
  bool failed = false;
  for (const Server& server : servers) {
    if (!server.link) continue;
    std::string link = linkDirectory + "/" + std::string(server.name);
    if (::symlink(executable.c_str(), link.c_str()) == 0) continue;
    failed = true;
    out("symlink " + executable + " " + link + ": " + std::strerror(errno) + "\n");
  }
  if (failed) out("Error: Error creating one or more symlinks.\n");
  return failed ? 1 : 0;
}

int Program::run(const std::vector<std::string>& argv) const {
  std::string serverName = argv.empty() ? name : baseName(argv[0]);
  std::vector<std::string> args(argv.begin() + (argv.empty() ? 0 : 1), argv.end());
  if (serverName == name) {
    BaseFlags base;
    FlagSet flags(name);
    bool makeLinks = false;
    flags.setNormalize(warnWordSepNormalize);
    flags.setInterspersed(false);  // what follows the server's name is the server's
    flags.setOutput(out);
    base.addTo(flags, name);
    flags.add(&makeLinks, "make-symlinks", "create a symlink for each server in current directory").hidden();
    Status parsed = flags.parse(args);
    if (!parsed.ok() || base.help) {
      if (!parsed.ok()) out("Error: " + parsed.message() + "\n\n");
      out(usage());
      return parsed.ok() ? 0 : 1;
    }
    if (makeLinks) return makeSymlinks();
    if (base.wantsVersion()) {
      answer(base.versionText());
      return 0;
    }
    if (flags.args().empty() || flags.args()[0].empty()) {
      out("Error: no server specified\n\n" + usage());
      return 1;
    }
    serverName = flags.args()[0];
    args.assign(flags.args().begin() + 1, flags.args().end());
  }
  if (serverName == "__complete") {
    answer(completions(args));
    return 0;
  }
  const Server* server = find(serverName);
  if (!server) {
    out("Error: Server not found: " + serverName + "\n\n" + usage());
    return 1;
  }
  ServerCall call{server, name, std::move(args), out, answer};
  return server->run(call);
}

}  // namespace km
