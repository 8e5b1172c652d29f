#include "cache/resource_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "codec/proto.h"
#include "store/embedded.h"

namespace km::cache {
namespace {

// A memory store whose watches can be made to end, as etcd's do when their history was compacted.
class Breakable final : public store::Store {
 public:
  void commit(store::Txn txn, Callback<store::TxnResult> done) override { inner_->commit(std::move(txn), std::move(done)); }
  Result<std::optional<store::KeyValue>> get(std::string_view key) override { return inner_->get(key); }
  Result<store::RangeResult> range(const store::RangeRequest& r) override {
    if (down) return errors::serviceUnavailable("the store is down");
    return inner_->range(r);
  }
  Result<store::Revision> currentRevision() override { return inner_->currentRevision(); }
  std::unique_ptr<store::Watch> watch(std::string prefix, store::Revision from, store::WatchSink& sink) override {
    ++watches;
    sink_ = &sink;
    return std::make_unique<Handle>(inner_->watch(std::move(prefix), from, gate_), gate_, sink);
  }
  void compact(store::Revision r, Done done) override { inner_->compact(r, std::move(done)); }
  void leaseGrant(int64_t ttl, Callback<store::LeaseId> done) override { inner_->leaseGrant(ttl, std::move(done)); }
  void leaseRevoke(store::LeaseId lease, Done done) override { inner_->leaseRevoke(lease, std::move(done)); }
  Status backup(const std::string&) override { return {}; }
  store::Stats stats() override { return inner_->stats(); }

  // Nothing comes from now on; then the end is told.
  void silence() { gate_.open = false; }
  void end() { sink_->onError(errors::expired("compacted")); }

  std::atomic<int> watches = 0;
  std::atomic<bool> down = false;

 private:
  struct Gate final : store::WatchSink {
    void onEvents(std::span<const store::EventPtr> events) override {
      if (open) target->onEvents(events);
    }
    void onProgress(store::Revision r) override {
      if (open) target->onProgress(r);
    }
    void onError(const Status&) override {}
    std::atomic<bool> open = true;
    store::WatchSink* target = nullptr;
  };
  class Handle final : public store::Watch {
   public:
    Handle(std::unique_ptr<store::Watch> inner, Gate& gate, store::WatchSink& sink) : inner_(std::move(inner)), gate_(gate) {
      gate.target = &sink;
      gate.open = true;
    }
    void requestProgress(store::Revision r) override { inner_->requestProgress(r); }
    store::Revision delivered() const override { return gate_.open ? inner_->delivered() : 0; }

   private:
    std::unique_ptr<store::Watch> inner_;
    Gate& gate_;
  };

  std::unique_ptr<store::Store> inner_ = store::openMemory();
  Gate gate_;
  store::WatchSink* sink_ = nullptr;
};

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() : cache_(store_, Config{api::findResource("", "v1", "configmaps"), "/registry/configmaps/", ""}) {
    EXPECT_TRUE(cache_.start().ok());
  }
  store::Revision put(const std::string& name) {
    api::core_v1::ConfigMap c;
    c.metadata.name = name;
    c.metadata.namespace_ = "ns";
    auto bytes = std::make_shared<std::string>();
    codec::encodeEnveloped(*bytes, &c, api::core_v1::ConfigMap::kType, "v1");
    return store::commitAndWait(store_, store::Txn::put("/registry/configmaps/ns/" + name, std::move(bytes)))->revision;
  }
  Status fresh() {
    std::promise<Status> done;
    cache_.whenFresh([&](Status s) { done.set_value(std::move(s)); });
    return done.get_future().get();
  }
  Breakable store_;
  ResourceCache cache_;
};

TEST_F(CacheTest, ListsAgainWhenItsHistoryIsGone) {
  put("a");
  ASSERT_TRUE(fresh().ok());
  std::promise<void> woken;
  std::atomic<bool> once = false;
  Snapshot initial;
  auto watcher = cache_.watchWithInitial({}, [&] {
    if (!once.exchange(true)) woken.set_value();
  }, initial);
  EXPECT_EQ(initial.objects->size(), 1u);

  store_.silence();
  put("b");
  store::commitAndWait(store_, store::Txn::eraseAny("/registry/configmaps/ns/a")).value();
  EXPECT_NE(cache_.get("ns", "a"), nullptr);
  store_.end();
  // Reads that must be fresh wait for the new list.
  ASSERT_TRUE(fresh().ok());
  EXPECT_EQ(cache_.get("ns", "a"), nullptr);
  EXPECT_NE(cache_.get("ns", "b"), nullptr);
  // The watch cannot know what happened between: its client lists again.
  woken.get_future().wait();
  std::vector<BatchPtr> out;
  EXPECT_TRUE(watcher->drain(out).is("Expired"));
  EXPECT_TRUE(cache_.watchFrom(initial.revision, {}, [] {}).status().is("Expired"));
  // Life goes on.
  put("c");
  ASSERT_TRUE(fresh().ok());
  EXPECT_EQ(cache_.list().objects->size(), 2u);
  EXPECT_EQ(store_.watches, 2);
}

TEST_F(CacheTest, TellsWhoWaitsThatTheStoreCannotBeRead) {
  store_.silence();
  put("a");
  store_.down = true;
  std::promise<Status> told;
  cache_.whenFresh([&](Status s) { told.set_value(std::move(s)); });
  store_.end();
  EXPECT_EQ(told.get_future().get().code(), 503);
  store_.down = false;
  while (!fresh().ok()) {
  }
  EXPECT_NE(cache_.get("ns", "a"), nullptr);
}

TEST_F(CacheTest, WaitsForARevisionThatIsToCome) {
  store::Revision now = put("a");
  std::promise<void> reached;
  std::atomic<bool> forgotten = true;
  cache_.whenAt(now + 2, [&](Status s) {
    EXPECT_TRUE(s.ok());
    reached.set_value();
  });
  uint64_t id = cache_.whenAt(now + 2, [&](Status) { forgotten = false; });
  cache_.forget(id);
  put("b");
  // Also by a write to something else.
  store::commitAndWait(store_, store::Txn::put("/registry/other/x", std::make_shared<const std::string>(""))).value();
  reached.get_future().wait();
  EXPECT_TRUE(forgotten);
}

}  // namespace
}  // namespace km::cache
