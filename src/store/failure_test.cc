// What happens when the disk fails beneath the engine.
#include <gtest/gtest.h>

#include "store/mvcc.h"
#include "store/store_testing.h"

namespace km::store {
namespace {

// Memory whose writes or reads fail at a word.
class FailingRows final : public RowStore {
 public:
  std::atomic<bool> failWrites{false}, loseReads{false};

  Status write(const std::vector<Mutation>& batch, bool sync) override {
    if (failWrites) return errors::serviceUnavailable("the disk is full");
    return rows_->write(batch, sync);
  }
  Result<std::optional<std::string>> read(std::string_view key) override {
    if (loseReads) return std::optional<std::string>();
    return rows_->read(key);
  }
  Status scan(std::string_view start, std::string_view end, const Visit& visit) override {
    return rows_->scan(start, end, visit);
  }
  int64_t bytesOnDisk() override { return 0; }
  Status damaged(std::string_view what) override { return errors::failed("damaged: " + std::string(what)); }

 private:
  std::unique_ptr<RowStore> rows_ = memoryRows();
};

TEST(Failure, AFailedWriteIsToldAndEndsAllLaterOnes) {
  auto owned = std::make_unique<FailingRows>();
  FailingRows& rows = *owned;
  auto opened = MvccStore::open(std::move(owned), Clock::system());
  Store& store = **opened;
  RecordingSink sink;
  auto watch = store.watch("", 0, sink);
  put(store, "a", "1");
  rows.failWrites = true;
  auto failed = commitAndWait(store, Txn::put("a", bytes("2")));
  EXPECT_EQ(failed.status().code(), 503);
  EXPECT_EQ(failed.status().message(), "the disk is full");
  rows.failWrites = false;  // what reached the disk is not known: a later success could not be trusted
  EXPECT_EQ(commitAndWait(store, Txn::put("b", bytes("2"))).status().code(), 503);
  EXPECT_EQ(compactAndWait(store, 2).code(), 503);
  EXPECT_EQ(leaseGrantAndWait(store, 10).status().code(), 503);
  // Reads and watches go on with what was acknowledged.
  EXPECT_EQ(list(store, RangeRequest::prefix("")), "a=1");
  EXPECT_EQ(sink.settle(*watch), 2);
  EXPECT_EQ(sink.events().size(), 1u);
}

TEST(Failure, ALostRowIsDamageNotAbsence) {
  auto owned = std::make_unique<FailingRows>();
  FailingRows& rows = *owned;
  auto opened = MvccStore::open(std::move(owned), Clock::system());
  Store& store = **opened;
  put(store, "a", "1");
  // Push it out of the window of recent events.
  for (size_t i = 0; i < EventWindow::kMaxEvents + 10; ++i) store.commit(Txn::put("b", bytes("1")), nullptr);
  put(store, "b", "2");
  rows.loseReads = true;
  EXPECT_EQ(store.get("a").status().message(), "damaged: revision 2 is missing");
  EXPECT_EQ(store.range(RangeRequest::prefix("")).status().message(), "damaged: revision 2 is missing");
  EXPECT_EQ(commitAndWait(store, Txn::put("a", bytes("2"))).status().message(),
            "damaged: revision 2 is missing");
}

Status loadAfter(const std::vector<Mutation>& harm) {
  auto rows = memoryRows();
  RowStore* raw = rows.get();
  {
    // A store of five revisions.
    struct Borrowed final : RowStore {
      explicit Borrowed(RowStore& r) : rows(r) {}
      Status write(const std::vector<Mutation>& b, bool s) override { return rows.write(b, s); }
      Result<std::optional<std::string>> read(std::string_view k) override { return rows.read(k); }
      Status scan(std::string_view s, std::string_view e, const Visit& v) override {
        return rows.scan(s, e, v);
      }
      int64_t bytesOnDisk() override { return 0; }
      Status damaged(std::string_view what) override { return rows.damaged(what); }
      RowStore& rows;
    };
    auto store = MvccStore::open(std::make_unique<Borrowed>(*raw), Clock::system());
    for (int i = 0; i < 5; ++i) put(**store, "k" + std::to_string(i), "v");
    (void)compactAndWait(**store, 3);
  }
  (void)raw->write(harm, true);
  return MvccStore::check(std::move(rows));
}

TEST(Failure, RowsThatMakeNoStoreAreRefused) {
  auto row = [](Revision r) { return std::string("r\0\0\0\0\0\0\0", 8) + static_cast<char>(r); };
  EXPECT_TRUE(loadAfter({}).ok());
  EXPECT_NE(loadAfter({{row(5), std::nullopt}}).message().find("revision 5 is missing"), std::string::npos);
  EXPECT_NE(loadAfter({{row(4), "\x07"}}).message().find("cannot be decoded"), std::string::npos);
  EXPECT_NE(loadAfter({{"mcompacted", "x"}}).message().find("cannot be decoded"), std::string::npos);
  EXPECT_NE(loadAfter({{"mformat", "2"}}).message().find("has format 2"), std::string::npos);
  EXPECT_NE(loadAfter({{"mformat", std::nullopt}}).message().find("not their format"), std::string::npos);
  EXPECT_TRUE(loadAfter({{row(6), std::nullopt}}).ok()) << "a tail that is gone leaves no trace";
}

}  // namespace
}  // namespace km::store
