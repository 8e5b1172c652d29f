// The engine over a real etcd, where there is one.
#include "store/etcd_testing.h"
#include "store/etcd_wire.h"

namespace km::store {
namespace {

class EtcdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (EtcdProcess::program().empty()) GTEST_SKIP() << "no etcd here";
    etcd_ = std::make_unique<EtcdProcess>();
    auto opened = openEtcd(etcd_->options());
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    store_ = std::move(*opened);
  }
  std::unique_ptr<EtcdProcess> etcd_;
  std::unique_ptr<Store> store_;
};

TEST_F(EtcdTest, GuardsWritesByRevision) {
  auto made = commitAndWait(*store_, Txn::create("/registry/a", bytes("1")));
  ASSERT_TRUE(made.ok() && made->succeeded);
  EXPECT_EQ(made->kv->createRevision, made->revision);
  auto again = commitAndWait(*store_, Txn::create("/registry/a", bytes("2")));
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->succeeded);
  EXPECT_EQ(*again->kv->value, "1");
  EXPECT_EQ(again->kv->modRevision, made->revision);
  auto changed = commitAndWait(*store_, Txn::update("/registry/a", made->revision, bytes("3")));
  ASSERT_TRUE(changed.ok() && changed->succeeded);
  EXPECT_EQ(changed->revision, made->revision + 1);
  auto stale = commitAndWait(*store_, Txn::erase("/registry/a", made->revision));
  ASSERT_TRUE(stale.ok());
  EXPECT_FALSE(stale->succeeded);
  auto gone = commitAndWait(*store_, Txn::erase("/registry/a", changed->revision));
  ASSERT_TRUE(gone.ok() && gone->succeeded);
  EXPECT_EQ(*gone->kv->value, "3");
  auto none = commitAndWait(*store_, Txn::erase("/registry/a", changed->revision));
  EXPECT_FALSE(none->succeeded);
  EXPECT_FALSE(none->kv);
  EXPECT_TRUE(commitAndWait(*store_, Txn::eraseAny("/registry/a"))->succeeded);
  EXPECT_EQ(*store_->currentRevision(), gone->revision);
}

TEST_F(EtcdTest, ReadsRangesOfOneRevision) {
  for (int i = 0; i < 2500; ++i) {
    char key[40];
    std::snprintf(key, sizeof key, "/registry/x/%05d", i);
    store_->commit(Txn::put(key, bytes(std::to_string(i))), [](auto) {});
  }
  put(*store_, "/registry/y", "y");
  RangeRequest all = RangeRequest::prefix("/registry/x/");
  auto whole = store_->range(all);
  ASSERT_TRUE(whole.ok());
  // The writes before were under way at the same time, so that the last is awaited by looking again.
  while (whole->kvs.size() < 2500) whole = store_->range(all);
  EXPECT_EQ(whole->count, 2500);
  EXPECT_FALSE(whole->more);
  EXPECT_EQ(*whole->kvs[2499].value, "2499");
  erase(*store_, "/registry/x/00000");
  all.revision = whole->revision;
  all.limit = 2;
  auto past = store_->range(all);
  ASSERT_TRUE(past.ok());
  EXPECT_EQ(past->kvs[0].key, "/registry/x/00000");
  EXPECT_EQ(past->remaining(), 2498);
  EXPECT_TRUE(past->more);
  EXPECT_EQ(past->revision, whole->revision);
  all.limit = 1700;
  past = store_->range(all);
  EXPECT_EQ(past->kvs.size(), 1700u);
  EXPECT_TRUE(past->more);
  EXPECT_EQ((*store_->get("/registry/y"))->value->substr(), "y");
  EXPECT_FALSE(store_->get("/registry/z")->has_value());
}

TEST_F(EtcdTest, WatchesHistoryThenLife) {
  Revision first = put(*store_, "/registry/p/a", "1");
  put(*store_, "/registry/q/a", "other");
  RecordingSink live, past;
  auto w1 = store_->watch("/registry/p/", 0, live);
  live.settle(*w1);
  auto w2 = store_->watch("/registry/p/", first, past);
  Revision second = put(*store_, "/registry/p/b", "2");
  // The event was given before the write was acknowledged.
  EXPECT_EQ(tell(live.events()), std::vector<std::string>{std::to_string(second) + " PUT /registry/p/b=2"});
  Revision third = erase(*store_, "/registry/p/a");
  Revision settled = past.settle(*w2);
  EXPECT_GE(settled, third);
  EXPECT_EQ(tell(past.events()),
            (std::vector<std::string>{std::to_string(first) + " PUT /registry/p/a=1",
                                      std::to_string(second) + " PUT /registry/p/b=2",
                                      std::to_string(third) + " DEL /registry/p/a"}));
  // Also for what nobody here watches.
  Revision foreign = put(*store_, "elsewhere", "x");
  EXPECT_GE(past.settle(*w2), foreign);
  EXPECT_GE(w2->delivered(), foreign);
  EXPECT_EQ(live.disorders() + past.disorders(), 0);
}

TEST_F(EtcdTest, TellsHistoryWithWhatWasBefore) {
  Revision first = put(*store_, "/registry/p/a", "1");
  put(*store_, "/registry/p/a", "2");
  put(*store_, "/registry/q/a", "other");
  Revision deleted = erase(*store_, "/registry/p/a");
  Revision last = put(*store_, "/registry/q/a", "other");
  put(*store_, "/registry/p/a", "later");
  auto text = [](Revision r, const char* what) { return std::to_string(r) + what; };
  auto all = store_->history("/registry/p/", first - 1, last, 100, 1 << 20);
  ASSERT_TRUE(all.ok()) << all.status().message();
  EXPECT_EQ(all->after, first - 1);
  EXPECT_EQ(tell(all->events), (std::vector<std::string>{text(first, " PUT /registry/p/a=1"), text(first + 1, " PUT /registry/p/a=2 was 1"),
                                                         text(deleted, " DEL /registry/p/a was 2")}));
  auto newest = store_->history("/registry/p/", first - 1, last, 1, 1 << 20);
  ASSERT_TRUE(newest.ok());
  EXPECT_EQ(newest->after, first + 1);
  EXPECT_EQ(newest->events.size(), 1u);
  ASSERT_TRUE(compactAndWait(*store_, first + 1).ok());
  EXPECT_TRUE(store_->history("/registry/p/", first - 1, last, 100, 1 << 20).status().is("Expired"));
  auto rest = store_->history("/registry/p/", first, last, 100, 1 << 20);
  ASSERT_TRUE(rest.ok()) << rest.status().message();
  EXPECT_EQ(rest->after, first + 1);
  EXPECT_EQ(tell(rest->events), (std::vector<std::string>{text(deleted, " DEL /registry/p/a was 2")}));
}

TEST_F(EtcdTest, SeesOtherServersWritesAfterAFreshRevision) {
  auto other = openEtcd(etcd_->options());
  ASSERT_TRUE(other.ok());
  RecordingSink sink;
  auto watch = store_->watch("/registry/", 0, sink);
  sink.settle(*watch);
  for (int i = 0; i < 50; ++i) {
    Revision r = put(**other, "/registry/k", std::to_string(i));
    auto fresh = store_->currentRevision();
    ASSERT_TRUE(fresh.ok());
    EXPECT_GE(*fresh, r);
    EXPECT_GE(sink.settle(*watch), r);
    EXPECT_EQ(*sink.events().back()->kv.value, std::to_string(i));
  }
}

TEST_F(EtcdTest, EventsOfOwnWritesHaveTheirAttachment) {
  RecordingSink sink;
  auto watch = store_->watch("/registry/", 0, sink);
  sink.settle(*watch);
  for (int i = 0; i < 20; ++i) {
    auto object = std::make_shared<int>(i);
    Txn txn = Txn::put("/registry/k", bytes(std::to_string(i)));
    txn.attachment = object;
    mustWrite(*store_, std::move(txn));
    EXPECT_EQ(sink.events().back()->attachment, object);
  }
}

TEST_F(EtcdTest, ToldWhenHistoryIsGone) {
  Revision first = put(*store_, "/registry/a", "1");
  put(*store_, "/registry/a", "2");
  Revision third = put(*store_, "/registry/a", "3");
  ASSERT_TRUE(compactAndWait(*store_, third).ok());
  EXPECT_TRUE(compactAndWait(*store_, first).is("Expired"));
  EXPECT_EQ(compactAndWait(*store_, third + 100).code(), 400);
  RangeRequest old = RangeRequest::prefix("/registry/");
  old.revision = first;
  EXPECT_TRUE(store_->range(old).status().is("Expired"));
  old.revision = third + 100;
  EXPECT_EQ(store_->range(old).status().code(), 400);
  RecordingSink sink;
  auto watch = store_->watch("/registry/", first, sink);
  EXPECT_TRUE(sink.waitError().is("Expired"));
  RecordingSink next;
  auto fine = store_->watch("/registry/", third, next);
  next.settle(*fine);
  EXPECT_EQ(next.events().size(), 1u);
}

TEST_F(EtcdTest, EndsKeysWithTheirLease) {
  auto lease = leaseGrantAndWait(*store_, 60);
  ASSERT_TRUE(lease.ok());
  put(*store_, "/registry/a", "1", *lease);
  EXPECT_EQ((*store_->get("/registry/a"))->lease, *lease);
  EXPECT_TRUE(leaseRevokeAndWait(*store_, *lease).ok());
  EXPECT_FALSE(store_->get("/registry/a")->has_value());
  EXPECT_EQ(leaseRevokeAndWait(*store_, *lease).code(), 404);
  // Leases of keys are shared.
  auto forKey = [&](int64_t ttl) {
    std::promise<LeaseId> got;
    store_->leaseForKey(ttl, [&](Result<LeaseId> r) { got.set_value(r.ok() ? *r : 0); });
    return got.get_future().get();
  };
  LeaseId one = forKey(3600);
  EXPECT_NE(one, 0);
  EXPECT_EQ(forKey(3600), one);
  EXPECT_NE(forKey(15), one);
}

TEST_F(EtcdTest, GoesOnAfterTheServerWasGone) {
  RecordingSink sink;
  auto watch = store_->watch("/registry/", 0, sink);
  sink.settle(*watch);
  Revision before = put(*store_, "/registry/a", "1");
  etcd_->stop(SIGKILL);
  std::promise<Result<TxnResult>> during;
  store_->commit(Txn::create("/registry/b", bytes("2")), [&](auto r) { during.set_value(std::move(r)); });
  etcd_->start();
  // A write that reached no server is sent once there is one; one whose connection broke may fail.
  auto result = during.get_future().get();
  EXPECT_TRUE(!result.ok() || result->revision > before);
  Revision after = put(*store_, "/registry/c", "3");
  EXPECT_GE(sink.settle(*watch), after);
  EXPECT_EQ(sink.disorders(), 0);
  EXPECT_EQ(sink.events().back()->kv.key, "/registry/c");
}

TEST_F(EtcdTest, UsesThePrefixThatIsGiven) {
  EtcdOptions o = etcd_->options();
  o.prefix = "/elsewhere";
  auto other = openEtcd(o);
  ASSERT_TRUE(other.ok());
  put(**other, "/registry/pods/a", "1");
  EXPECT_EQ(list(*store_, RangeRequest::prefix("/elsewhere/")), "/elsewhere/pods/a=1");
  EXPECT_EQ(list(**other, RangeRequest::prefix("/registry/")), "/registry/pods/a=1");
  RecordingSink sink;
  auto watch = (*other)->watch("/registry/pods/", 0, sink);
  sink.settle(*watch);
  put(**other, "/registry/pods/b", "2");
  EXPECT_EQ(sink.events().back()->kv.key, "/registry/pods/b");
}

TEST_F(EtcdTest, FailsOverToAnotherEndpoint) {
  EtcdOptions o = etcd_->options();
  o.endpoints.insert(o.endpoints.begin(), "http://127.0.0.1:1");
  auto other = openEtcd(o);
  ASSERT_TRUE(other.ok()) << other.status().message();
  put(**other, "/registry/a", "1");
  EXPECT_EQ(list(**other, RangeRequest::prefix("/registry/a")), "/registry/a=1");
}

TEST(EtcdErrorTest, NamesTheServersThatDoNotAnswer) {
  EtcdOptions o;
  o.endpoints = {"http://127.0.0.1:1"};
  o.timeout = std::chrono::milliseconds(50);
  auto opened = openEtcd(o);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.status().message().find("etcd at http://127.0.0.1:1 does not answer"), std::string::npos);
}

TEST(EtcdErrorTest, TellsEtcdsWords) {
  using http::GrpcCode;
  Status s = etcdStatus({GrpcCode::kResourceExhausted, "etcdserver: mvcc: database space exceeded"});
  EXPECT_EQ(s.code(), 500);
  EXPECT_EQ(s.message(), "etcdserver: mvcc: database space exceeded");
  EXPECT_EQ(etcdStatus({GrpcCode::kDeadlineExceeded, "x"}).code(), 504);
  EXPECT_EQ(etcdStatus({GrpcCode::kUnavailable, "transport"}).message(), "rpc error: code = Unavailable desc = transport");
}

TEST(EtcdVersionTest, KnowsWhoseProgressCanBeTrusted) {
  EXPECT_FALSE(etcdTellsProgress("3.4.23"));
  EXPECT_TRUE(etcdTellsProgress("3.4.31"));
  EXPECT_FALSE(etcdTellsProgress("3.5.12"));
  EXPECT_TRUE(etcdTellsProgress("3.5.13"));
  EXPECT_TRUE(etcdTellsProgress("3.6.0-rc.1"));
  EXPECT_FALSE(etcdTellsProgress(""));
}

}  // namespace
}  // namespace km::store
