// `km install`: a systemd unit, so that a cluster starts with its machine. `km install --remove` takes it away.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <climits>
#include <future>

#include "async/process.h"
#include "base/files.h"
#include "base/flags.h"
#include "km/commands.h"
#include "km/install.h"

namespace km {

// As systemd reads a command line: words with spaces or quotes in double quotes, and % and $ doubled.
std::string systemdWord(std::string_view word) {
  bool quoted = word.empty() || word.find_first_of(" \t\"'\\;") != std::string_view::npos;
  std::string out = quoted ? "\"" : "";
  for (char c : word) {
    if (c == '%' || c == '$') out += c;
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return quoted ? out + '"' : out;
}

std::string systemdUnit(std::string_view program, const std::vector<std::string>& command) {
  std::string line(systemdWord(program));
  for (const std::string& word : command) line += " " + systemdWord(word);
  // Containers outlive a restart of km: only km itself is ended (KillMode=process), and its pods keep their own limits (Delegate).
  return fmt::format(
      "[Unit]\n"
      "Description=km: Kubernetes ({})\n"
      "Wants=network-online.target\n"
      "After=network-online.target\n"
      "\n"
      "[Service]\n"
      "ExecStart={}\n"
      "Restart=always\n"
      "RestartSec=1\n"
      "KillMode=process\n"
      "Delegate=yes\n"
      "LimitNOFILE=1048576\n"
      "TasksMax=infinity\n"
      "OOMScoreAdjust=-999\n"
      "\n"
      "[Install]\n"
      "WantedBy=multi-user.target\n",
      command.front(), line);
}

namespace {

struct InstallFlags {
  std::string name = "km", directory = "/etc/systemd/system";
  bool print = false, remove = false, start = true;

  void addTo(FlagSet& flags) {
    flags.add(&name, "name", "The `name` of the unit, without .service.");
    flags.add(&directory, "unit-dir", "The `directory` of the unit.");
    flags.add(&print, "print", "Print the unit, change nothing.");
    flags.add(&remove, "remove", "Stop and remove the unit. The cluster's data stay; `km reset` removes them.");
    flags.add(&start, "start", "Enable the unit and start it now.");
    flags.setInterspersed(false);  // what follows the server is the server's
  }
};

Result<std::string> thisProgram() {
  char path[PATH_MAX];
  ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) return errors::failed("/proc/self/exe cannot be read");
  return std::string(path, static_cast<size_t>(n));
}

bool runsSystemd() {
  return fileExists("/run/systemd/system");
}

Status systemctl(const std::vector<std::string>& words) {
  async::ProcessSpec spec;
  spec.argv = {"systemctl"};
  spec.argv.insert(spec.argv.end(), words.begin(), words.end());
  spec.inheritEnv = true;
  spec.fds = {{1, 1}, {2, 2}};
  async::LoopGroup loops(1, "loop");
  std::promise<Status> ended;
  std::unique_ptr<async::Process> process;
  loops.at(0).post([&] {
    auto started = async::Process::spawn(loops.at(0), spec, [&](async::ProcessExit e) {
      ended.set_value(e.signal == 0 && e.code == 0 ? Status() : errors::failed(fmt::format("systemctl {} failed", fmt::join(words, " "))));
    });
    if (!started.ok()) return ended.set_value(started.status());
    process = std::move(*started);
  });
  Status result = ended.get_future().get();
  loops.stop();
  return result;
}

Status remove(const InstallFlags& flags) {
  std::string path = fmt::format("{}/{}.service", flags.directory, flags.name);
  if (!fileExists(path)) return errors::failed(fmt::format("there is no {}", path));
  if (runsSystemd()) KM_TRY(systemctl({"disable", "--now", flags.name}));
  KM_TRY(removeFile(path));
  return runsSystemd() ? systemctl({"daemon-reload"}) : Status();
}

// The server's own parse of its flags, before systemd would start it over and over in vain.
Status checkFlags(const Server& server, const std::vector<std::string>& command) {
  Status result;
  ServerCall call{&server, "km", {command.begin() + 1, command.end()}, [](std::string_view) {}, [](std::string_view) {}};
  call.checkFlags = [&](const Status& parsed) { result = parsed; };
  server.run(call);
  if (result.ok()) return {};
  return errors::badRequest(fmt::format("{} would not start: {}", command[0], FlagSet::isHelp(result) ? "--help is no flag to run with" : result.message()));
}

Status install(ServerCall& call, const InstallFlags& flags, std::vector<std::string> command) {
  const Server* server = nullptr;
  if (command.empty()) command = {"up"};
  for (const Server& s : allServers()) {
    if (s.name == command[0]) server = &s;
  }
  if (server == nullptr || (!server->link && command[0] != "up" && command[0] != "server" && command[0] != "agent")) {
    return errors::badRequest(fmt::format("{} is no server to install: km install [flags] [up|server|agent|...] [the server's flags]", command[0]));
  }
  KM_TRY(checkFlags(*server, command));
  KM_ASSIGN(std::string program, thisProgram());
  std::string unit = systemdUnit(program, command);
  if (flags.print) {
    call.answer(unit);
    return {};
  }
  if (!runsSystemd()) return errors::failed("systemd does not run here; see the unit with: km install --print");
  std::string path = fmt::format("{}/{}.service", flags.directory, flags.name);
  KM_TRY(writeFileAtomic(path, unit, 0644));
  KM_TRY(systemctl({"daemon-reload"}));
  if (flags.start) KM_TRY(systemctl({"enable", "--now", flags.name}));
  call.answer(fmt::format("{} is installed{}\n", path, flags.start ? "; it runs now and after every start of the machine" : ""));
  return {};
}

}  // namespace

int runInstall(ServerCall& call) {
  InstallFlags options;
  FlagSet flags(std::string(call.server->name));
  options.addTo(flags);
  if (auto done = parseServerFlags(call, flags)) return *done;
  return finish(call, options.remove ? remove(options) : install(call, options, flags.args()));
}

}  // namespace km
