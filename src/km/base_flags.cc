#include "km/base_flags.h"

#include "base/flags.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/version.h"
#include "km/server_table.h"
#include "km/upstream_flags.h"

namespace km {

void BaseFlags::addTo(FlagSet& flags, const std::string& program) {
  flags.add(&help, "help", "help for " + program).shorthand('h');
  auto set = [this](std::string_view text) -> Status {
    if (text == "true" || text == "false" || text == "raw") {
      version = text;
      return {};
    }
    return errors::badRequest("strconv.ParseBool: parsing " + quote(text) + ": invalid syntax");
  };
  flags.addFunc(set, "version", "version", "--version, --version=raw prints version information and quits")
      .noOptDefault("true")
      .defaultText("false");
  addLogFlags(flags);
}

std::string BaseFlags::versionText() const {
  if (version != "raw") return versionLine() + "\n";
  const VersionInfo& v = versionInfo();
  std::string out;
  auto field = [&](std::string_view name, std::string_view value) {
    out += std::string(name) + ": " + std::string(value) + "\n";
  };
  field("major", v.major);
  field("minor", v.minor);
  field("gitVersion", v.gitVersion);
  field("gitCommit", v.gitCommit);
  field("gitTreeState", v.gitTreeState);
  field("buildDate", v.buildDate);
  field("compiler", v.compiler);
  field("platform", v.platform);
  return out;
}

std::optional<int> parseServerFlags(ServerCall& call, FlagSet& flags) {
  BaseFlags base;
  flags.setNormalize(warnWordSepNormalize);
  flags.setOutput(call.out);
  base.addTo(flags, call.program);
  addUpstreamFlags(flags, call.server->name);
  for (std::string_view alias : call.server->aliases) addUpstreamFlags(flags, alias);
  if (call.showFlags) {
    call.showFlags(flags);
    return 0;
  }
  Status parsed = flags.parse(call.args);
  if (call.checkFlags) {
    if (parsed.ok() && !flags.args().empty()) parsed = errors::badRequest("it takes no arguments: " + flags.args()[0]);
    call.checkFlags(parsed);
    return 0;
  }
  if (!parsed.ok() || base.help) {
    if (!parsed.ok()) call.out("Error: " + parsed.message() + "\n\n");
    call.out(std::string(trimSpace(call.server->help)) + "\nUsage:\n  " + std::string(call.server->name) +
             " [flags]\n\nAvailable Flags:\n" + flags.usages());
    return parsed.ok() ? 0 : 1;
  }
  if (base.wantsVersion()) {
    call.answer(base.versionText());
    return 0;
  }
  return std::nullopt;
}

int finish(const ServerCall& call, const Status& status) {
  if (status.ok()) return 0;
  call.out("Error: " + status.message() + "\n");
  return 1;
}

}  // namespace km
