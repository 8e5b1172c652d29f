// The semantics that both engines share.
#include "store/mvcc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/store_testing.h"

namespace km::store {
namespace {

enum class Engine { kMemory, kDisk };

class MvccTest : public testing::TestWithParam<Engine> {
 protected:
  MvccTest() {
    if (GetParam() == Engine::kMemory) {
      store_ = openMemory();
    } else {
      auto opened = openEmbedded({dir_ / "data"});
      EXPECT_TRUE(opened.ok()) << opened.status().message();
      store_ = std::move(opened).value();
    }
  }
  TempDir dir_;
  std::unique_ptr<Store> store_;
};

INSTANTIATE_TEST_SUITE_P(Engines, MvccTest, testing::Values(Engine::kMemory, Engine::kDisk),
                         [](const auto& i) { return i.param == Engine::kMemory ? "Memory" : "Disk"; });

TEST_P(MvccTest, CountsRevisionsLikeEtcd) {
  EXPECT_EQ(*store_->currentRevision(), 1);
  EXPECT_EQ(put(*store_, "a", "1"), 2);
  EXPECT_EQ(put(*store_, "a", "2"), 3);
  EXPECT_EQ(put(*store_, "b", "1"), 4);
  EXPECT_EQ(erase(*store_, "a"), 5);
  EXPECT_EQ(erase(*store_, "a"), 5) << "deleting what is absent takes no revision";
  EXPECT_EQ(put(*store_, "a", "3"), 6);
  auto kv = store_->get("a");
  ASSERT_TRUE(kv.ok() && kv->has_value());
  EXPECT_EQ((*kv)->createRevision, 6);
  EXPECT_EQ((*kv)->modRevision, 6);
  EXPECT_EQ((*kv)->version, 1);
  put(*store_, "a", "4");
  kv = store_->get("a");
  EXPECT_EQ((*kv)->createRevision, 6);
  EXPECT_EQ((*kv)->version, 2);
  EXPECT_EQ(*store_->currentRevision(), 7);
}

TEST_P(MvccTest, GuardsDecide) {
  auto made = commitAndWait(*store_, Txn::create("a", bytes("1")));
  ASSERT_TRUE(made.ok() && made->succeeded);
  EXPECT_EQ(made->kv->createRevision, 2);

  auto again = commitAndWait(*store_, Txn::create("a", bytes("2")));
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->succeeded);
  EXPECT_EQ(*again->kv->value, "1");
  EXPECT_EQ(again->revision, 2);

  auto late = commitAndWait(*store_, Txn::update("a", 1, bytes("2")));
  EXPECT_FALSE(late->succeeded);
  EXPECT_EQ(late->kv->modRevision, 2);
  auto good = commitAndWait(*store_, Txn::update("a", 2, bytes("2")));
  EXPECT_TRUE(good->succeeded);
  EXPECT_EQ(good->revision, 3);

  auto absent = commitAndWait(*store_, Txn::update("b", 2, bytes("2")));
  EXPECT_FALSE(absent->succeeded);
  EXPECT_FALSE(absent->kv.has_value());
  EXPECT_FALSE(commitAndWait(*store_, Txn::erase("a", 2))->succeeded);
  auto gone = commitAndWait(*store_, Txn::erase("a", 3));
  EXPECT_TRUE(gone->succeeded);
  EXPECT_EQ(*gone->kv->value, "2");
  EXPECT_FALSE(store_->get("a")->has_value());
  EXPECT_FALSE(commitAndWait(*store_, Txn::erase("a", 3))->succeeded);
  EXPECT_TRUE(commitAndWait(*store_, Txn::create("a", bytes("3")))->succeeded);
}

TEST_P(MvccTest, GuardsSeeEarlierWritesOfTheSameBatch) {
  // Queued at once, so that several share a batch: exactly one create and each chained update succeeds.
  std::atomic<int> created{0};
  std::vector<Revision> order;
  for (int i = 0; i < 50; ++i) {
    store_->commit(Txn::create("a", bytes(std::to_string(i))), [&](Result<TxnResult> r) {
      if (r.ok() && r->succeeded) ++created;
    });
    store_->commit(Txn::update("a", 2 + i, bytes("u")), [&](Result<TxnResult> r) {
      if (r.ok() && r->succeeded) order.push_back(r->revision);
    });
  }
  put(*store_, "end", "");
  EXPECT_EQ(created, 1);
  EXPECT_EQ(order.size(), 50u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ((*store_->get("a"))->version, 51);
}

TEST_P(MvccTest, ReadsThePast) {
  put(*store_, "/p/a", "1");  // 2
  put(*store_, "/p/b", "1");  // 3
  put(*store_, "/p/a", "2");  // 4
  erase(*store_, "/p/b");     // 5
  put(*store_, "/q", "1");    // 6
  auto at = [&](Revision r) {
    RangeRequest request = RangeRequest::prefix("/p/");
    request.revision = r;
    return list(*store_, request);
  };
  EXPECT_EQ(at(2), "/p/a=1");
  EXPECT_EQ(at(3), "/p/a=1 /p/b=1");
  EXPECT_EQ(at(4), "/p/a=2 /p/b=1");
  EXPECT_EQ(at(5), "/p/a=2");
  EXPECT_EQ(at(0), "/p/a=2");
  RangeRequest future = RangeRequest::prefix("/p/");
  future.revision = 7;
  auto refused = store_->range(future);
  EXPECT_EQ(refused.status().message(), "etcdserver: mvcc: required revision is a future revision");
}

TEST_P(MvccTest, PagesAreConsistentUnderWrites) {
  for (int i = 0; i < 250; ++i) put(*store_, "/k/" + std::to_string(1000 + i), "old");
  RangeRequest page = RangeRequest::prefix("/k/");
  page.limit = 30;
  int seen = 0;
  for (int pages = 0;; ++pages) {
    auto result = store_->range(page);
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->count + seen, 250);
    for (const KeyValue& kv : result->kvs) EXPECT_EQ(kv.key, "/k/" + std::to_string(1000 + seen++));
    for (const KeyValue& kv : result->kvs) EXPECT_EQ(*kv.value, "old");
    if (!result->more) break;
    EXPECT_EQ(result->remaining(), 250 - seen);
    page.revision = result->revision;
    page.start = result->kvs.back().key + '\0';
    put(*store_, "/k/" + std::to_string(1000 + pages * 31), "new");
    put(*store_, "/k/1100x" + std::to_string(pages), "new");
    erase(*store_, "/k/" + std::to_string(1249 - pages));
  }
  EXPECT_EQ(seen, 250);
}

TEST_P(MvccTest, CountsAndKeysOnly) {
  for (int i = 0; i < 10; ++i) put(*store_, "/k/" + std::to_string(i), "v");
  RangeRequest request = RangeRequest::prefix("/k/");
  request.countOnly = true;
  auto counted = store_->range(request);
  EXPECT_EQ(counted->count, 10);
  EXPECT_TRUE(counted->kvs.empty());
  EXPECT_FALSE(counted->more);
  request.countOnly = false;
  request.keysOnly = true;
  request.limit = 2;
  auto keys = store_->range(request);
  ASSERT_EQ(keys->kvs.size(), 2u);
  EXPECT_EQ(keys->kvs[1].key, "/k/1");
  EXPECT_EQ(keys->kvs[1].modRevision, 3);
  EXPECT_EQ(keys->remaining(), 8);
}

TEST_P(MvccTest, CompactionForgetsThePastOnly) {
  put(*store_, "a", "1");  // 2
  put(*store_, "a", "2");  // 3
  put(*store_, "b", "1");  // 4
  erase(*store_, "b");     // 5
  put(*store_, "a", "3");  // 6
  EXPECT_TRUE(compactAndWait(*store_, 4).ok());
  RangeRequest request = RangeRequest::prefix("");
  request.revision = 3;
  auto refused = store_->range(request);
  EXPECT_EQ(refused.status().code(), 410);
  EXPECT_EQ(refused.status().reason(), "Expired");
  EXPECT_EQ(refused.status().message(), "etcdserver: mvcc: required revision has been compacted");
  request.revision = 4;
  EXPECT_EQ(list(*store_, request), "a=2 b=1");
  EXPECT_EQ(compactAndWait(*store_, 4).reason(), "Expired");
  EXPECT_EQ(compactAndWait(*store_, 7).code(), 400);
  EXPECT_TRUE(compactAndWait(*store_, 6).ok());
  EXPECT_EQ(list(*store_, RangeRequest::prefix("")), "a=3");
  put(*store_, "b", "2");
  EXPECT_EQ((*store_->get("b"))->version, 1);
  EXPECT_EQ(store_->stats().compacted, 6);
  EXPECT_EQ(store_->stats().keys, 2);
}

TEST_P(MvccTest, CompactionWhileReadingAndWriting) {
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      auto result = store_->range(RangeRequest::prefix("/k/"));
      if (!result.ok()) {
        ADD_FAILURE() << result.status().message();
        return;
      }
      auto kv = store_->get("/k/1");
      if (!kv.ok()) ADD_FAILURE() << kv.status().message();
    }
  });
  for (int i = 0; i < 400; ++i) {
    Revision revision = put(*store_, "/k/" + std::to_string(i % 7), std::string(2000, 'v'));
    if (i % 3 == 0) {
      EXPECT_TRUE(compactAndWait(*store_, revision).ok());
    }
  }
  stop = true;
  reader.join();
  EXPECT_EQ(store_->stats().keys, 7);
}

TEST_P(MvccTest, TellsItsFigures) {
  put(*store_, "a", "1");
  put(*store_, "a", "2");
  Stats stats = store_->stats();
  EXPECT_EQ(stats.keys, 1);
  EXPECT_EQ(stats.history, 1);
  EXPECT_EQ(stats.transactions, 2u);
  EXPECT_EQ(stats.sync.count, 2u);
  EXPECT_EQ(std::accumulate(stats.sync.counts.begin(), stats.sync.counts.end(), uint64_t{0}), 2u);
  EXPECT_EQ(stats.bytesOnDisk > 0, GetParam() == Engine::kDisk);
}

TEST_P(MvccTest, AnswersWhatIsQueuedAtTheEnd) {
  std::atomic<int> answers{0};
  for (int i = 0; i < 500; ++i) {
    store_->commit(Txn::put("k" + std::to_string(i), bytes("v")),
                   [&](Result<TxnResult> r) { answers += r.ok(); });
  }
  store_.reset();
  EXPECT_EQ(answers, 500);
}

}  // namespace
}  // namespace km::store
