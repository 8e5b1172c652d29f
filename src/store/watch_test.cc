#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "store/store_testing.h"

namespace km::store {
namespace {

using testing::ElementsAre;

TEST(Watch, DeliversLiveEventsOfItsPrefix) {
  auto store = openMemory();
  put(*store, "/a/1", "before");
  RecordingSink sink;
  auto watch = store->watch("/a/", 0, sink);
  put(*store, "/a/1", "x");
  put(*store, "/b/1", "other");
  erase(*store, "/a/1");
  EXPECT_EQ(sink.settle(*watch), 5);
  EXPECT_THAT(tell(sink.events()), ElementsAre("3 PUT /a/1=x was before", "5 DEL /a/1 was x"));
  EXPECT_EQ(watch->delivered(), 5);
  EXPECT_EQ(store->stats().watches, 1);
}

TEST(Watch, EventsComeBeforeTheAnswerAndCarryTheAttachment) {
  auto store = openMemory();
  RecordingSink sink;
  auto watch = store->watch("", 0, sink);
  for (int i = 0; i < 100; ++i) {
    Txn txn = Txn::put("k", bytes("v"));
    txn.attachment = std::make_shared<int>(i);
    size_t seen = 0;
    std::promise<void> answered;
    store->commit(std::move(txn), [&](Result<TxnResult> r) {
      seen = sink.events().size();
      EXPECT_EQ(*store->currentRevision(), r->revision);
      answered.set_value();
    });
    answered.get_future().wait();
    EXPECT_EQ(seen, static_cast<size_t>(i) + 1);
    EXPECT_EQ(*static_cast<const int*>(sink.events().back()->attachment.get()), i);
    EXPECT_GE(watch->delivered(), *store->currentRevision());
  }
}

// A history that does not fit the window of recent events.
void writeHistory(Store& store, int writes) {
  std::mt19937 random(7);
  for (int i = 0; i < writes; ++i) {
    std::string key = (random() % 2 ? "/a/" : "/b/") + std::to_string(random() % 20);
    Txn txn = random() % 4 == 0 ? Txn::eraseAny(key) : Txn::put(key, bytes(std::to_string(i)));
    store.commit(std::move(txn), [](Result<TxnResult> r) { EXPECT_TRUE(r.ok()); });
  }
  put(store, "/end", "");
}

void checkResume(Store& store, const std::vector<std::string>& all, const std::vector<Revision>& revisions,
                 Revision from) {
  RecordingSink sink;
  auto watch = store.watch("/a/", from, sink);
  sink.settle(*watch);
  size_t first =
      static_cast<size_t>(std::lower_bound(revisions.begin(), revisions.end(), from) - revisions.begin());
  auto told = tell(sink.events());
  ASSERT_EQ(told.size(), all.size() - first) << "from " << from;
  for (size_t i = 0; i < told.size(); ++i) ASSERT_EQ(told[i], all[first + i]) << "from " << from;
  EXPECT_EQ(sink.disorders(), 0);
  // The history in one piece is the same.
  auto history = store.history("/a/", from - 1, *store.currentRevision(), all.size(), 1 << 30);
  ASSERT_TRUE(history.ok()) << history.status().message();
  EXPECT_EQ(history->after, from - 1);
  ASSERT_EQ(tell(history->events), told) << "from " << from;
}

TEST(Watch, ResumesFromEveryRevision) {
  TempDir dir;
  std::vector<std::string> all;
  std::vector<Revision> revisions;
  {
    auto store = openEmbedded({dir / "data"});
    ASSERT_TRUE(store.ok());
    RecordingSink live;
    auto watch = (*store)->watch("/a/", 0, live);
    writeHistory(**store, 4000);
    Revision end = live.settle(*watch);
    all = tell(live.events());
    for (const EventPtr& e : live.events()) revisions.push_back(e->revision());
    EXPECT_EQ(live.disorders(), 0);
    for (Revision from = 2; from <= end + 1; from += 61) checkResume(**store, all, revisions, from);
    for (Revision from = end - 40; from <= end + 1; ++from) checkResume(**store, all, revisions, from);
  }
  // After a restart the same events come from the disk alone.
  auto store = openEmbedded({dir / "data"});
  ASSERT_TRUE(store.ok()) << store.status().message();
  Revision end = *(*store)->currentRevision();
  for (Revision from = 2; from <= end + 1; from += 61) checkResume(**store, all, revisions, from);
}

TEST(Watch, CompactedStartIsExpiredAndTheEdgeIsNot) {
  auto store = openMemory();
  put(*store, "a", "1");  // 2
  put(*store, "a", "2");  // 3
  erase(*store, "a");     // 4
  put(*store, "b", "1");  // 5
  ASSERT_TRUE(compactAndWait(*store, 4).ok());
  RecordingSink late, edge;
  auto lateWatch = store->watch("", 3, late);
  EXPECT_EQ(late.waitError().message(), "etcdserver: mvcc: required revision has been compacted");
  auto edgeWatch = store->watch("", 4, edge);
  edge.settle(*edgeWatch);
  ASSERT_EQ(edge.events().size(), 2u);
  EXPECT_EQ(edge.events()[0]->type, EventType::kDelete);
}

TEST(Watch, CompactedEdgeIsReadFromTheDisk) {
  TempDir dir;
  {
    auto store = openEmbedded({dir / "data"});
    put(**store, "a", "1");
    put(**store, "a", "2");
    erase(**store, "a");  // 4
    put(**store, "b", "1");
    ASSERT_TRUE(compactAndWait(**store, 4).ok());
    put(**store, "b", "2");
  }
  auto store = openEmbedded({dir / "data"});
  ASSERT_TRUE(store.ok()) << store.status().message();
  RecordingSink edge;
  auto watch = (*store)->watch("", 4, edge);
  edge.settle(*watch);
  EXPECT_THAT(tell(edge.events()), ElementsAre("4 DEL a", "5 PUT b=1", "6 PUT b=2 was 1"));
}

TEST(History, GoesBackAsFarAsItMayAndTellsHowFar) {
  auto store = openMemory();
  for (int i = 0; i < 5; ++i) put(*store, i % 2 ? "/a/x" : "/a/y", std::string(100, 'v'));  // 2 to 6
  put(*store, "/b/x", "");
  auto limited = store->history("/a/", 1, 7, 2, 1 << 20);
  ASSERT_TRUE(limited.ok());
  EXPECT_EQ(limited->after, 4);
  EXPECT_EQ(limited->events.size(), 2u);
  auto small = store->history("/a/", 1, 7, 100, 350);
  EXPECT_EQ(small->after, 3);
  EXPECT_EQ(small->events.size(), 3u);
  EXPECT_EQ(store->history("/a/", 1, 4, 100, 1 << 20)->events.size(), 3u);
  ASSERT_TRUE(compactAndWait(*store, 4).ok());
  auto compacted = store->history("/a/", 1, 7, 100, 1 << 20);
  ASSERT_TRUE(compacted.ok());
  EXPECT_EQ(compacted->after, 4);
  ASSERT_EQ(compacted->events.size(), 2u);
  EXPECT_EQ(compacted->events[0]->prev->modRevision, 3);
  EXPECT_TRUE(store->history("/a/", 1, 3, 100, 1 << 20).status().is("Expired"));
  EXPECT_EQ(store->history("/a/", 1, 8, 100, 1 << 20).status().code(), 400);
}

TEST(Watch, FromTheFutureWaits) {
  auto store = openMemory();
  RecordingSink sink;
  auto watch = store->watch("", 4, sink);
  put(*store, "a", "1");
  put(*store, "a", "2");
  EXPECT_EQ(sink.settle(*watch), 3);
  EXPECT_TRUE(sink.events().empty());
  put(*store, "a", "3");
  sink.settle(*watch);
  EXPECT_THAT(tell(sink.events()), ElementsAre("4 PUT a=3 was 2"));
}

TEST(Watch, EndsInsideItsOwnSink) {
  struct Once final : WatchSink {
    void onEvents(std::span<const EventPtr> events) override {
      count += static_cast<int>(events.size());
      watch.reset();
    }
    void onProgress(Revision) override {}
    void onError(const Status&) override {}
    std::unique_ptr<Watch> watch;
    int count = 0;
  };
  auto store = openMemory();
  Once once;
  once.watch = store->watch("", 0, once);
  put(*store, "a", "1");
  put(*store, "a", "2");
  EXPECT_EQ(once.count, 1);
  EXPECT_EQ(store->stats().watches, 0);
}

// For the thread sanitizer too: writers, readers, watches that come and go, compaction.
TEST(Watch, NothingIsLostUnderConcurrency) {
  auto store = openMemory();
  constexpr int kWriters = 4, kWrites = 400;
  RecordingSink all;
  auto watch = store->watch("", 2, all);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < kWrites; ++i)
        put(*store, "/" + std::to_string(w) + "/" + std::to_string(i % 50), "v");
    });
  }
  std::thread watcher([&] {
    while (!stop) {
      RecordingSink sink;
      Revision from = std::max<Revision>(*store->currentRevision() - 20, 2);
      auto short_ = store->watch("/1/", from, sink);
      sink.settle(*short_);
      EXPECT_EQ(sink.disorders(), 0);
    }
  });
  std::thread reader([&] {
    while (!stop) {
      auto result = store->range(RangeRequest::prefix("/2/"));
      EXPECT_TRUE(result.ok());
      Revision now = *store->currentRevision();
      auto past = store->history("/3/", now - std::min<Revision>(now, 700), now, 1000, 1 << 20);
      EXPECT_TRUE(past.ok() || past.status().is("Expired")) << past.status().message();
      Revision behind = *store->currentRevision() - 500;
      if (behind > 1) (void)compactAndWait(*store, behind);
    }
  });
  for (std::thread& t : threads) t.join();
  stop = true;
  watcher.join();
  reader.join();
  all.settle(*watch);
  EXPECT_EQ(all.events().size(), static_cast<size_t>(kWriters * kWrites));
  EXPECT_EQ(all.disorders(), 0);
}

TEST(Watch, AnswersForARevisionToComeOnceItIsThere) {
  auto store = openMemory();
  RecordingSink sink;
  auto watch = store->watch("a", 0, sink);
  Revision now = sink.settle(*watch);
  int before = sink.answers();
  watch->requestProgress(now + 2);
  put(*store, "b", "1");
  EXPECT_EQ(sink.answers(), before);
  put(*store, "b", "2");
  EXPECT_EQ(sink.answers(), before + 1);
}

}  // namespace
}  // namespace km::store
