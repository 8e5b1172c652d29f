// What `km up` shows while it starts: a line a part, coloured on a terminal, plain otherwise.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace km {

class Progress {
 public:
  Progress(std::function<void(std::string_view)> out, bool terminal);
  void begin(std::string_view part);                          // shown on a terminal only, and replaced by done()
  void done(std::string_view part, std::string_view detail);
  void note(std::string_view text);
  // The end: how to use the cluster. `image`: one that every node has, or "".
  void ready(const std::string& kubeconfig, const std::string& image);

 private:
  std::function<void(std::string_view)> out_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace km
