// Containerd of this node, run by km with a root, a state and a socket of its own. It is no child that ends with km: containers and
// their runtime outlive a km that is killed or restarted, and the next one takes them over.
#pragma once

#include <memory>
#include <string>

#include "async/loop.h"
#include "base/result.h"

namespace km {

struct ContainerdOptions {
  std::string directory;      // <data-dir>/containerd
  std::string cniConfDir;
  std::string cniBinDir = "/usr/lib/cni";
  std::string sandboxImage;
};

class Containerd {
 public:
  // Starts it, or finds the one that an earlier km started, and waits until its socket answers. `loop` must outlive it.
  static Result<std::unique_ptr<Containerd>> start(async::Loop& loop, ContainerdOptions options);
  ~Containerd();  // leaves containerd running

  const std::string& socket() const { return socket_; }
  // Ends the process and waits for it.
  static Status stop(const std::string& directory);

 private:
  struct State;
  Containerd(std::shared_ptr<State> state, std::string socket) : state_(std::move(state)), socket_(std::move(socket)) {}
  std::shared_ptr<State> state_;
  std::string socket_;
};

}  // namespace km
