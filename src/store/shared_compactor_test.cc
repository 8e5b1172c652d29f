#include "store/shared_compactor.h"

#include "store/store_testing.h"

namespace km::store {
namespace {

TEST(SharedCompactorTest, OneOfSeveralCompactsWhatIsAnIntervalOld) {
  auto store = openMemory();
  SharedCompactor a(*store), b(*store);
  put(*store, "/registry/x", "1");
  a.step();  // makes the key
  b.step();  // finds it
  EXPECT_EQ(store->stats().compacted, 0);
  Revision old = *store->currentRevision();
  put(*store, "/registry/x", "2");
  a.step();
  EXPECT_EQ(store->stats().compacted, old);
  EXPECT_EQ(*store->get(SharedCompactor::kKey)->value().value, std::to_string(old));
  b.step();
  EXPECT_EQ(store->stats().compacted, old);
  // The other goes on when the first has ended.
  Revision later = *store->currentRevision();
  put(*store, "/registry/x", "3");
  b.step();
  EXPECT_EQ(store->stats().compacted, later);
}

}  // namespace
}  // namespace km::store
