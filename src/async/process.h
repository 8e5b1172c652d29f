// Child processes: started with exactly the descriptors named, their end awaited through a pidfd.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "async/loop.h"
#include "base/result.h"

namespace km::async {

// Lets this process have as many descriptors as it may: a server has one for each connection. Children that are started
// with Process get the limit as it was, as many programs cannot cope with large ones. At the start of main.
void raiseFileLimit();

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] is a path, or a name looked up in PATH of this process
  std::vector<std::string> env;   // "NAME=value"; the whole environment of the child
  bool inheritEnv = false;        // env is added to the environment of this process
  std::string cwd;                // empty: that of this process
  // Descriptors of the child: {child's number, ours}. 0, 1 and 2 are /dev/null unless named.
  std::vector<std::pair<int, int>> fds;
  bool newSession = false;  // setsid
};

struct ProcessExit {
  int code = 0;    // exit code, when signal is 0
  int signal = 0;  // the signal that ended it
};

// On its loop's thread only. Destroying it does not kill the child: it is reaped in the background by the
// loop.
class Process {
 public:
  static Result<std::unique_ptr<Process>> spawn(Loop& loop, const ProcessSpec& spec,
                                                std::function<void(ProcessExit)> onExit);
  ~Process();
  int pid() const;
  bool running() const;
  // Never reaches another process: the pid stays ours until the exit was seen.
  Status kill(int signal);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace km::async
