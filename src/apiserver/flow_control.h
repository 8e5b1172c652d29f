// Priority and fairness: which flow a request belongs to, by the FlowSchemas, and when it may run, by the PriorityLevelConfiguration
// of that flow. A level has seats; a request takes one until it is answered, waits in a queue of its flow's hand, or is refused.
// Any thread.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apiserver/exchange_context.h"
#include "apiserver/resources.h"
#include "async/loop.h"

namespace km::apiserver {

class FlowControl {
 public:
  // `seats` are shared by all limited levels, by their shares. The loop's timers end the wait of queued requests. Both must outlive this,
  // and so must this every request.
  FlowControl(const Resources& resources, async::Loop& timers, int seats);
  ~FlowControl();

  // Says the flow in the request's headers, then calls `run` on the exchange's loop when there is a seat, or answers 429.
  void admit(const HttpCallPtr& http, std::function<void()> run);

 private:
  struct Rules;   // the compiled schemas and levels
  struct Level;
  struct Queued;
  class Seat;
  std::shared_ptr<const Rules> rules();
  std::shared_ptr<const Rules> compile();
  void enqueue(const std::shared_ptr<Level>& level, const HttpCallPtr& http, size_t flow, std::function<void()> run);
  static void next(const std::shared_ptr<Level>& level);
  static void refuse(const HttpCallPtr& http);

  const Resources& resources_;
  async::Loop& timers_;
  const int seats_;
  std::mutex mutex_;
  std::shared_ptr<const Rules> rules_;
  std::shared_ptr<const void> seenSchemas_, seenLevels_;  // what rules_ were made of
  std::map<std::string, std::shared_ptr<Level>, std::less<>> levels_;  // by name; they keep their seats when the rules change
};

}  // namespace km::apiserver
