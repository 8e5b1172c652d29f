// Observer: everything that was ever written to the store, in order, across all lives of the API server; what is there now; and who must hear of each change.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "store/store.h"

namespace km::testing {

using api::ObjectPtr;

struct Change {
  int64_t revision = 0;
  std::string_view key;     // of the store
  ObjectPtr before, now;    // null: absent, or of a kind that is not followed
  bool removed = false;
};

// What matters of it, for a trace. Valid until the next call.
std::string_view describeChange(const Change& change);

class Observer : private store::WatchSink {
 public:
  Observer();
  ~Observer() override;
  // See StoreHooks.
  void opened(store::Store& store);
  void closing();
  void storeKilled();

  // Called for each change, after it was taken in. Must not block.
  void onChange(std::function<void(const Change&)> listener) { listeners_.push_back(std::move(listener)); }
  // Who finds something wrong says it here; the first is kept.
  void violated(std::string what);
  const std::string& violation() const { return violation_; }

  int64_t revision() const { return revision_; }
  // All keys of the store, with the revision of the last write.
  const std::map<std::string, int64_t, std::less<>>& keys() const { return keys_; }
  // Of a followed kind, by "ns/name".
  template <typename T>
  const std::map<std::string, ObjectPtr, std::less<>>& all() const {
    return objects_.at(&T::kType);
  }
  template <typename T>
  std::shared_ptr<const T> find(std::string_view ns, std::string_view name) const {
    const auto& of = all<T>();
    auto it = of.find(ns.empty() ? std::string(name) : std::string(ns) + "/" + std::string(name));
    return it == of.end() ? nullptr : api::share<T>(it->second);
  }
  template <typename T, typename F>
  void each(F f) const {
    for (const auto& [key, o] : all<T>()) f(o->template as<T>());
  }
  // The kinds that are followed.
  std::vector<const codec::TypeInfo*> kinds() const;
  const std::map<std::string, ObjectPtr, std::less<>>& allOf(const codec::TypeInfo& type) const { return objects_.at(&type); }
  // Whether the object with this uid had this resourceVersion at some time.
  bool knows(std::string_view uid, int64_t revision) const;

 private:
  void onEvents(std::span<const store::EventPtr> events) override;
  void onProgress(store::Revision) override {}
  void onError(const Status& status) override;
  void take(const store::Event& event);

  std::unique_ptr<store::Watch> watch_;
  int64_t revision_ = 0;
  std::map<std::string, int64_t, std::less<>> keys_;
  std::map<const codec::TypeInfo*, std::map<std::string, ObjectPtr, std::less<>>> objects_;
  std::set<std::pair<int64_t, std::string>> versions_;  // of followed kinds: revision and uid
  std::vector<std::function<void(const Change&)>> listeners_;
  std::string violation_;
};

}  // namespace km::testing
