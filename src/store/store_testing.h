// What the tests of this room share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "store/embedded.h"
#include "store/store.h"

namespace km::store {

class TempDir {
 public:
  TempDir() {
    std::string name = std::filesystem::temp_directory_path() / "km-store-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class FakeClock final : public Clock {
 public:
  WallTime now() const override { return {1'700'000'000 + seconds_.load(), 0}; }
  Duration monotonic() const override { return std::chrono::seconds(seconds_.load()); }
  void advance(int64_t seconds) { seconds_ += seconds; }

 private:
  std::atomic<int64_t> seconds_{0};
};

inline Bytes bytes(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

// Keeps what a watch delivers, and checks the order.
class RecordingSink final : public WatchSink {
 public:
  void onEvents(std::span<const EventPtr> events) override {
    std::lock_guard lock(mutex_);
    for (const EventPtr& event : events) {
      if (event->revision() <= last_) ++disorders_;
      last_ = event->revision();
      events_.push_back(event);
    }
    changed_.notify_all();
  }
  void onProgress(Revision revision) override {
    std::lock_guard lock(mutex_);
    progress_ = revision;
    ++answers_;
    changed_.notify_all();
  }
  void onError(const Status& status) override {
    std::lock_guard lock(mutex_);
    error_ = status;
    changed_.notify_all();
  }

  // Waits until all events up to the store's revision of now are here; gives that revision.
  Revision settle(Watch& watch) {
    std::unique_lock lock(mutex_);
    int before = answers_;
    lock.unlock();
    watch.requestProgress(0);
    lock.lock();
    changed_.wait(lock, [&] { return answers_ > before || !error_.ok(); });
    return progress_;
  }
  Status waitError() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !error_.ok(); });
    return error_;
  }
  void waitCount(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return events_.size() >= count; });
  }
  std::vector<EventPtr> events() {
    std::lock_guard lock(mutex_);
    return events_;
  }
  int answers() {
    std::lock_guard lock(mutex_);
    return answers_;
  }
  int disorders() {
    std::lock_guard lock(mutex_);
    return disorders_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<EventPtr> events_;
  Revision last_ = 0, progress_ = 0;
  int answers_ = 0, disorders_ = 0;
  Status error_;
};

// One line an event: "3 PUT a=1 was 0".
inline std::string tell(const Event& event) {
  std::string line = std::to_string(event.revision());
  line +=
      event.type == EventType::kPut ? " PUT " + event.kv.key + "=" + *event.kv.value : " DEL " + event.kv.key;
  if (event.prev) line += " was " + *event.prev->value;
  return line;
}
inline std::vector<std::string> tell(const std::vector<EventPtr>& events) {
  std::vector<std::string> lines;
  for (const EventPtr& event : events) lines.push_back(tell(*event));
  return lines;
}

// Shorthands for tests in which the write must succeed; the revision it took.
inline Revision mustWrite(Store& store, Txn txn) {
  auto result = commitAndWait(store, std::move(txn));
  EXPECT_TRUE(result.ok()) << result.status().message();
  EXPECT_TRUE(result.ok() && result->succeeded);
  return result.ok() ? result->revision : 0;
}
inline Revision put(Store& store, const std::string& key, const std::string& value, LeaseId lease = 0) {
  return mustWrite(store, Txn::put(key, bytes(value), lease));
}
inline Revision erase(Store& store, const std::string& key) {
  return mustWrite(store, Txn::eraseAny(key));
}

// "a=1 b=2", the answer of a range.
inline std::string list(Store& store, RangeRequest request) {
  auto result = store.range(request);
  if (!result.ok()) return result.status().message();
  std::string text;
  for (const KeyValue& kv : result->kvs) {
    if (!text.empty()) text += " ";
    text += kv.key;
    if (kv.value) text += "=" + *kv.value;
  }
  return text;
}

}  // namespace km::store
