#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "api/resource.h"
#include "api/types/core_v1.h"
#include "cache/resource_cache.h"
#include "codec/proto.h"
#include "store/embedded.h"

namespace km::cache {
namespace {

using api::core_v1::Pod;

class HandClock final : public Clock {
 public:
  WallTime now() const override { return {}; }
  Duration monotonic() const override { return at_; }
  void advance(Duration d) { at_ += d; }

 private:
  Duration at_{0};
};

class CacheWatch : public testing::Test {
 protected:
  CacheWatch() {
    Config c{api::findResource("", "v1", "pods"), "/registry/pods/", "spec.nodeName"};
    cache_ = std::make_unique<ResourceCache>(*store_, c);
    EXPECT_TRUE(cache_->start().ok());
  }
  ~CacheWatch() override { cache_.reset(); }

  int64_t put(std::string ns, std::string name, std::string node, std::string app) {
    Pod p;
    p.metadata.namespace_ = ns;
    p.metadata.name = name;
    p.metadata.labels["app"] = app;
    p.spec.nodeName = node;
    auto o = api::Object::of(std::move(p));
    std::string bytes;
    codec::encodeEnveloped(bytes, o->data(), o->type(), o->apiVersion());
    auto txn = store::Txn::put(cache_->storeKey(ns, name), std::make_shared<const std::string>(std::move(bytes)));
    txn.attachment = o;
    return store::commitAndWait(*store_, std::move(txn))->revision;
  }
  void erase(std::string ns, std::string name) {
    ASSERT_TRUE(store::commitAndWait(*store_, store::Txn::eraseAny(cache_->storeKey(ns, name))).ok());
  }

  static Selection labelled(std::string app) {
    Selection s;
    s.matches = [app](const api::Object& o) {
      const auto* v = o.meta().labels.find("app");
      return v != nullptr && *v == app;
    };
    s.text = "app=" + app;
    return s;
  }

  std::unique_ptr<Watcher> watch(Selection s, std::function<void()> wake = [] {}) {
    return std::move(*cache_->watchFrom(cache_->revision(), std::move(s), std::move(wake)));
  }

  // "+ns/name" "~ns/name" "-ns/name", in order.
  static std::string told(Watcher& w) {
    std::vector<BatchPtr> batches;
    EXPECT_TRUE(w.drain(batches).ok());
    std::string out;
    for (const auto& b : batches) {
      for (const auto& d : b->events()) {
        if (!out.empty()) out += ' ';
        out += d.type == EventType::kAdded ? '+' : d.type == EventType::kModified ? '~' : '-';
        out += d.object->key();
      }
    }
    return out;
  }

  HandClock clock_;
  std::unique_ptr<store::Store> store_ = store::openMemory();
  std::unique_ptr<ResourceCache> cache_;
};

TEST_F(CacheWatch, EachWatcherIsToldWhatItSelects) {
  Selection ns, name, anywhere, node;
  ns.ns = "a";
  name.ns = "a";
  name.name = "one";
  anywhere.name = "one";
  node.byIndex = true;
  node.indexValue = "n1";
  node.matches = [](const api::Object& o) { return o.as<Pod>().spec.nodeName == "n1"; };
  node.text = "spec.nodeName=n1";
  auto all = watch({}), inNs = watch(ns), named = watch(name), everyOne = watch(anywhere), onNode = watch(node), web = watch(labelled("web"));
  put("a", "one", "", "web");
  put("b", "one", "n1", "db");
  put("a", "two", "n1", "db");
  put("b", "one", "n2", "web");
  erase("a", "one");
  EXPECT_EQ(told(*all), "+a/one +b/one +a/two ~b/one -a/one");
  EXPECT_EQ(told(*inNs), "+a/one +a/two -a/one");
  EXPECT_EQ(told(*named), "+a/one -a/one");
  EXPECT_EQ(told(*everyOne), "+a/one +b/one ~b/one -a/one");
  EXPECT_EQ(told(*onNode), "+b/one +a/two -b/one");
  EXPECT_EQ(told(*web), "+a/one +b/one -a/one");
  EXPECT_EQ(told(*all), "");
}

TEST_F(CacheWatch, EqualSelectionsShareTheirBatchesAndItsBytes) {
  auto a = watch(labelled("web")), b = watch(labelled("web")), other = watch(labelled("db"));
  put("a", "one", "", "web");
  put("a", "two", "", "db");
  std::vector<BatchPtr> fromA, fromB, fromOther;
  ASSERT_TRUE(a->drain(fromA).ok());
  ASSERT_TRUE(b->drain(fromB).ok());
  ASSERT_TRUE(other->drain(fromOther).ok());
  ASSERT_EQ(fromA.size(), 1u);
  EXPECT_EQ(fromA, fromB);
  ASSERT_EQ(fromOther.size(), 1u);
  EXPECT_NE(fromA[0], fromOther[0]);
  int made = 0;
  auto make = [&](const Batch& batch) { return std::to_string(++made) + ":" + batch.events()[0].object->key(); };
  EXPECT_EQ(*fromA[0]->encoded(0, make), "1:a/one");
  EXPECT_EQ(*fromB[0]->encoded(0, make), "1:a/one");
  EXPECT_EQ(*fromB[0]->encoded(1, make), "2:a/one");
}

TEST_F(CacheWatch, WatchersComeAndGoWithoutDisturbingOthers) {
  auto first = watch({}), second = watch({}), third = watch({});
  first.reset();
  put("a", "one", "", "");
  EXPECT_EQ(told(*second), "+a/one");
  auto fourth = watch({});
  third.reset();
  second.reset();
  put("a", "two", "", "");
  EXPECT_EQ(told(*fourth), "+a/two");
}

TEST_F(CacheWatch, ASlowWatcherIsParkedAndLosesNothing) {
  std::atomic<int> woken{0};
  auto w = watch({}, [&] { woken++; });
  constexpr int kMany = 5000;
  for (int i = 0; i < kMany; i++) put("a", std::to_string(i), "", "");
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(w->caughtUpTo(), 0);
  size_t n = 0;
  for (std::vector<BatchPtr> batches; w->drain(batches, 100).ok() && !batches.empty(); batches.clear()) {
    for (const auto& b : batches) {
      for (const auto& d : b->events()) EXPECT_EQ(d.object->name(), std::to_string(n++));
    }
  }
  EXPECT_EQ(n, static_cast<size_t>(kMany));
  EXPECT_EQ(w->caughtUpTo(), cache_->revision());
}

TEST_F(CacheWatch, BeginsAfterARevisionOrTellsThatItIsGone) {
  int64_t one = put("a", "one", "", "web");
  put("a", "two", "", "db");
  put("a", "one", "", "db");
  EXPECT_EQ(told(**cache_->watchFrom(one, {}, [] {})), "+a/two ~a/one");
  EXPECT_EQ(told(**cache_->watchFrom(one, labelled("web"), [] {})), "-a/one");
  auto gone = cache_->watchFrom(0, {}, [] {});
  ASSERT_FALSE(gone.ok());
  EXPECT_TRUE(gone.status().is("Expired"));
  Snapshot initial;
  auto w = cache_->watchWithInitial(labelled("db"), [] {}, initial);
  EXPECT_EQ(initial.objects->size(), 2u);
  put("a", "three", "", "db");
  EXPECT_EQ(told(*w), "+a/three");
}

TEST_F(CacheWatch, ReachesBackToWhatWasBeforeItsStart) {
  int64_t begin = put("a", "one", "n1", "web");
  put("a", "two", "n1", "db");
  put("a", "one", "n2", "db");
  put("a", "three", "", "web");
  erase("a", "three");
  int64_t middle = put("a", "three", "", "db");
  put("b", "one", "", "web");
  ResourceCache later(*store_, cache_->config(), clock_);
  ASSERT_TRUE(later.start().ok());
  put("a", "two", "n2", "web");
  EXPECT_TRUE(later.watchFrom(middle, {}, [] {}).status().is("Expired"));
  // From every revision and for every selection the same as from a cache that saw it all; first a part, then the rest.
  Selection node;
  node.byIndex = true;
  node.indexValue = "n1";
  node.matches = [](const api::Object& o) { return o.as<Pod>().spec.nodeName == "n1"; };
  for (int64_t from : {middle, middle - 2, begin - 1, begin, begin + 1, middle - 1}) {
    int done = 0;
    later.reachBack(from, [&] { done++; });
    EXPECT_EQ(done, 1);
    EXPECT_TRUE(later.reaches(from));
    for (const Selection& s : {Selection{}, labelled("web"), labelled("db"), node}) {
      auto again = later.watchFrom(from, s, [] {});
      ASSERT_TRUE(again.ok()) << from;
      EXPECT_EQ(told(**again), told(**cache_->watchFrom(from, s, [] {}))) << from;
    }
  }
  // Objects of now are shared with the window.
  std::vector<BatchPtr> batches;
  ASSERT_TRUE((*later.watchFrom(middle, {}, [] {}))->drain(batches).ok());
  EXPECT_EQ(batches[0]->events()[0].object, later.get("b", "one"));
  // It stays for a while only.
  for (int i = 0; i < 150; i++) put("a", "one", "", std::to_string(i));
  clock_.advance(std::chrono::seconds(80));
  later.tidy();
  EXPECT_FALSE(later.reaches(begin));
}

TEST_F(CacheWatch, ReachesBackNoFurtherThanCompaction) {
  int64_t begin = put("a", "one", "", "");
  int64_t compacted = put("a", "one", "", "x");
  put("a", "one", "", "y");
  ASSERT_TRUE(store::compactAndWait(*store_, compacted).ok());
  ResourceCache later(*store_, cache_->config(), clock_);
  ASSERT_TRUE(later.start().ok());
  later.reachBack(begin, [] {});
  EXPECT_TRUE(later.watchFrom(begin, {}, [] {}).status().is("Expired"));
  EXPECT_EQ(told(**later.watchFrom(compacted, {}, [] {})), "~a/one");
}

TEST_F(CacheWatch, ThoseWhoComeBackTogetherMissNothingWhileWritersGoOn) {
  std::vector<int64_t> revisions;
  for (int i = 0; i < 300; i++) revisions.push_back(put("a", std::to_string(i % 40), "", "web"));
  ResourceCache later(*store_, cache_->config());
  ASSERT_TRUE(later.start().ok());
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; c++) {
    clients.emplace_back([&, c] {
      for (size_t i = static_cast<size_t>(c); i < revisions.size(); i += 31) {
        int64_t from = revisions[revisions.size() - 1 - i];
        later.reachBack(from, [&, from] {
          auto w = later.watchFrom(from, {}, [] {});
          std::vector<BatchPtr> batches;
          if (!w.ok() || !(*w)->drain(batches, 10000).ok()) {
            wrong++;
            return;
          }
          int64_t last = from;
          for (const auto& b : batches) {
            for (const auto& d : b->events()) {
              if (d.revision != last + 1) wrong++;
              last = d.revision;
            }
          }
        });
      }
    });
  }
  for (int i = 0; i < 300; i++) put("a", std::to_string(i % 40), "", "db");
  for (auto& t : clients) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(CacheWatch, TidiesOnceAndIsToldOnceThereIsMore) {
  ResourceCache cache(*store_, cache_->config(), clock_);
  int told = 0;
  cache.whenUntidy([&] { told++; });
  ASSERT_TRUE(cache.start().ok());
  for (int i = 0; i < 150; i++) put("a", "one", "", std::to_string(i));
  cache.whenFresh([](Status) {});
  EXPECT_EQ(told, 1);
  auto o = cache.get("a", "one");
  const void* made = o->json().get();
  EXPECT_TRUE(cache.tidy());  // the encoding was asked for, and the window is young
  EXPECT_EQ(o->json().get(), made);
  clock_.advance(std::chrono::seconds(80));
  EXPECT_TRUE(cache.tidy());   // asked for again
  EXPECT_FALSE(cache.tidy());  // and then not
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(cache.watchFrom(2, {}, [] {}).ok());
  o.reset();
  EXPECT_EQ(cache.get("a", "one")->json()->substr(0, 14), R"({"kind":"Pod",)");
  EXPECT_EQ(told, 2);
}

TEST_F(CacheWatch, KeepsASnapshotForItsPages) {
  ResourceCache cache(*store_, cache_->config(), clock_);
  ASSERT_TRUE(cache.start().ok());
  for (const char* name : {"a", "b", "c"}) put("ns", name, "", "");
  put("ns-1", "a", "", "");  // before "ns/a", as text
  put("nt", "a", "", "");
  auto names = [](std::span<const api::ObjectPtr> part) {
    std::string out;
    for (const auto& o : part) out += o->key() + " ";
    return out;
  };
  Snapshot s = cache.list();
  EXPECT_EQ(names(ResourceCache::part(*s.objects, "ns")), "ns/a ns/b ns/c ");
  EXPECT_EQ(names(ResourceCache::part(*s.objects, "ns", std::string("ns/a") + '\0')), "ns/b ns/c ");
  EXPECT_EQ(names(ResourceCache::part(*s.objects, "ns", "nt/z")), "");
  EXPECT_EQ(names(ResourceCache::part(*s.objects, "", "ns/c")), "ns/c nt/a ");
  EXPECT_EQ(cache.listAt(s.revision), s.objects);
  cache.keep(s);
  erase("ns", "b");
  EXPECT_EQ(cache.list().objects->size(), 4u);
  EXPECT_EQ(cache.listAt(s.revision), s.objects);
  EXPECT_EQ(cache.listAt(s.revision - 1), nullptr);
  EXPECT_EQ(cache.listAt(s.revision + 100), nullptr);
  clock_.advance(std::chrono::seconds(80));
  cache.tidy();
  EXPECT_EQ(cache.listAt(s.revision), nullptr);
}

TEST_F(CacheWatch, ConsumersDrainWhileEventsCome) {
  constexpr int kEvents = 2000, kWatchers = 8;
  std::vector<std::thread> consumers;
  std::atomic<int> wrong{0};
  for (int i = 0; i < kWatchers; i++) {
    auto w = std::shared_ptr<Watcher>(watch(i % 2 == 0 ? Selection{} : labelled("web")));
    consumers.emplace_back([&wrong, w] {
      int64_t last = 0;
      for (int n = 0; n < kEvents;) {
        std::vector<BatchPtr> batches;
        if (!w->drain(batches).ok()) wrong++;
        if (batches.empty()) std::this_thread::yield();
        for (const auto& b : batches) {
          b->encoded(0, [](const Batch& x) { return std::to_string(x.size()); });
          for (const auto& d : b->events()) {
            if (d.revision <= last) wrong++;
            last = d.revision;
            n++;
          }
        }
      }
    });
  }
  for (int i = 0; i < kEvents; i++) put("a", std::to_string(i % 50), "", "web");
  for (auto& t : consumers) t.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace km::cache
