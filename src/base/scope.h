// Background activity has an owner that waits for its end.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace km {

// Counts activities that must end before their owner goes. Any thread.
class Gate {
 public:
  Gate() = default;
  ~Gate();  // nothing may be inside: a broken invariant ends the process
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  bool enter();  // false once closed: then do not start
  void leave();  // the last act of the activity; it may not touch the gate's owner afterwards
  // Refuses new activities and waits for those inside. Again: waits only. Not from an activity inside.
  void close();
  bool isClosed() const;
  uint64_t inside() const;

  // An activity as a value: inside as long as it lives, if it says so.
  class Hold {
   public:
    Hold() = default;
    explicit Hold(Gate& gate) : gate_(gate.enter() ? &gate : nullptr) {}
    Hold(Hold&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Hold& operator=(Hold&& other) noexcept {
      if (this != &other) {
        release();
        gate_ = std::exchange(other.gate_, nullptr);
      }
      return *this;
    }
    ~Hold() { release(); }
    explicit operator bool() const { return gate_ != nullptr; }
    void release() {
      if (gate_) std::exchange(gate_, nullptr)->leave();
    }

   private:
    Gate* gate_ = nullptr;
  };

 private:
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  uint64_t inside_ = 0;
  bool closed_ = false;
};

// Owns threads and other activities. Its end asks them to stop and waits for all of them; make it the last
// member of its owner, so that what the activities use is still there.
class Scope {
 public:
  explicit Scope(std::string_view name);
  ~Scope();  // stop()
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  bool stopping() const { return source_.stop_requested(); }

  // Runs `body` on a thread of its own, named `name` (at most 15 characters show in ps). Returns false, and
  // does not run it, once the scope is stopping. An exception out of `body` ends the process.
  bool spawn(std::string_view name, std::function<void(std::stop_token)> body);
  // For an activity that is not a thread (a callback under way, a connection): stop() waits until it is
  // released.
  Gate::Hold hold() { return Gate::Hold(gate_); }

  // Asks for the end and returns at once; what token()'s callbacks do runs on this thread.
  void requestStop();
  // Asks and waits. Any thread but the scope's own; several may call it.
  void stop();
  // Waits until `delay` is over (true) or the stop is asked for (false).
  bool sleepFor(Duration delay);

  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::stop_source source_;
  Gate gate_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<std::thread> threads_;
};

}  // namespace km
