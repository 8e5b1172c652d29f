// The node ports that services have taken, as one object in the store that its servers share (upstream's
// RangeAllocation under /registry/ranges/servicenodeports: a bit for each port of the range).
//
// Any thread; callbacks come on the store's committer thread, or at once.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>

#include "api/object.h"
#include "base/result.h"
#include "store/store.h"

namespace km::apiserver {

class ServicePorts : private store::WatchSink {
 public:
  ServicePorts(store::Store& store, int first, int last) : store_(store), first_(first), last_(last) {}
  ~ServicePorts() override { watch_.reset(); }

  // Reads what is taken and follows it; adds what these services have. Blocks.
  Status start(std::span<const api::ObjectPtr> services);
  // Frees what was taken at the start and is no service's then nor now: left by a server that ended at the wrong
  // moment. Blocks.
  void freeLost(std::span<const api::ObjectPtr> services);

  // As ServiceAddresses has them for addresses.
  void claim(const api::Object& service, const api::Object* old, std::function<void(Status)> next);
  void release(const api::Object& service, const api::Object* other, std::function<void()> next);
  bool isTaken(int port) const;

 private:
  enum class Change { kTake, kTakeAnyway, kFree };
  struct State {
    std::set<int> ports;
    store::Revision revision = 0;  // of the key; 0: absent
  };

  void onEvents(std::span<const store::EventPtr> events) override;
  void onProgress(store::Revision) override {}
  void onError(const Status& status) override;
  void change(Change kind, std::set<int> ports, std::function<void(Status)> next);
  Status changeAndWait(Change kind, std::set<int> ports);
  void see(const std::optional<store::KeyValue>& kv, store::Revision revision);
  std::set<int> inRange(std::set<int> ports) const;

  store::Store& store_;
  const int first_, last_;
  mutable std::mutex mutex_;
  State state_;          // guarded by mutex_
  std::set<int> lost_;   // taken, but by no service, at the start
  std::unique_ptr<store::Watch> watch_;
};

}  // namespace km::apiserver
