// From argv to a server's run, by hyperkube's rules.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "km/server_table.h"

namespace km {

struct Program {
  std::string name = "km";  // the program's own name; called by any other name it is that server
  std::string about = "This is an all-in-one binary that can run any of the various Kubernetes servers.";
  std::span<const Server> servers;
  std::string executable;                        // what --make-symlinks links to
  std::string linkDirectory = ".";               // where
  std::function<void(std::string_view)> out;     // help and errors
  std::function<void(std::string_view)> answer;  // what was asked for (--version)

  // Runs what argv says; the exit code: 0, 1 on any error, or the server's own.
  int run(const std::vector<std::string>& argv) const;
  std::string usage() const;

 private:
  const Server* find(std::string_view name) const;
  int makeSymlinks() const;
};

// Wraps paragraphs at 80 columns behind an indentation.
std::string wrapText(std::string_view text, std::string_view indent);

}  // namespace km
