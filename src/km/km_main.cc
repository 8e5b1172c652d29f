#include <limits.h>
#include <unistd.h>

#include <csignal>

#include "async/process.h"
#include "base/files.h"
#include "km/program.h"

int main(int argc, char** argv) {
  // A peer that went away is an error of the write to it, never the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  km::async::raiseFileLimit();
  km::Program program;
  program.servers = km::allServers();
  char self[PATH_MAX];
  ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
  program.executable = n > 0 ? std::string(self, n) : std::string(argc > 0 ? argv[0] : "km");
  program.out = [](std::string_view text) { (void)km::writeAll(STDERR_FILENO, text); };
  program.answer = [](std::string_view text) { (void)km::writeAll(STDOUT_FILENO, text); };
  return program.run({argv, argv + argc});
}
