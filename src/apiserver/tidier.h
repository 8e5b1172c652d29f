// Tidier: lets caches free what they keep for a while, in turns that come only while there is something to free.
#pragma once

#include <functional>
#include <memory>

namespace km::async {
class Loop;
}
namespace km::cache {
class ResourceCache;
}

namespace km::apiserver {

class Tidier {
 public:
  // The loop's timers and `offload`'s threads may outlive the tidier; they then do nothing.
  Tidier(async::Loop& loop, std::function<void(std::function<void()>)> offload);
  ~Tidier();  // waits for a turn that runs
  // Before the cache starts; it must outlive the tidier.
  void add(cache::ResourceCache& cache);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace km::apiserver
