#include "base/stop_wait.h"

#include <condition_variable>
#include <mutex>

namespace km {

bool waitFor(std::stop_token stop, Duration time) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace km
