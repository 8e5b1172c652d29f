// The servers of this program: one table, one row a server.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace km {

class FlagSet;
struct Server;

// One invocation of a server.
struct ServerCall {
  const Server* server;
  std::string program;                           // "km": named by help texts
  std::vector<std::string> args;                 // what follows the server's name, flags included
  std::function<void(std::string_view)> out;     // for help and errors; stderr
  std::function<void(std::string_view)> answer;  // for what was asked for; stdout
  // For completion: is given the server's flags instead of having them parsed, which ends the run.
  std::function<void(const FlagSet&)> showFlags = {};
  // For `install`: is given the outcome of the parse, which ends the run.
  std::function<void(const Status&)> checkFlags = {};
};

// A row. The first word of a command line, or the name of a link to the program, is compared with `name` and
// `aliases`.
struct Server {
  std::string_view name;
  std::vector<std::string_view> aliases;
  std::string_view oneLine;  // for lists
  std::string_view help;     // the paragraph shown by help; wrapped before output
  // Runs the server and returns the process's exit code. It parses call.args itself: parseServerFlags() does
  // so as all servers but kubectl want it.
  int (*run)(ServerCall& call);
  // Whether --make-symlinks makes a link for it: false for commands that are no server.
  bool link = true;
};

// All rows, in the order of help. servers.cc is the one place where rooms are entered.
std::span<const Server> allServers();

// Adds the base flags (--help, --version, logging) to the server's own `flags`, reads `_` in names as `-`
// with a warning, and parses call.args. Returns the exit code when that ends the run: help or the version was
// printed (0), or a flag was wrong (1: "Error: ..." and the server's usage were printed).
std::optional<int> parseServerFlags(ServerCall& call, FlagSet& flags);

// Ends a run: prints "Error: ..." unless `status` is a success; the exit code.
int finish(const ServerCall& call, const Status& status);

}  // namespace km
