#include "store/compactor.h"

#include <gtest/gtest.h>

namespace km::store {
namespace {

using std::chrono::minutes;

TEST(Compactor, KeepsAtLeastOneInterval) {
  Compactor compactor;
  EXPECT_EQ(compactor.due(), Duration::zero());
  EXPECT_EQ(compactor.at(minutes(0), 10), std::nullopt);
  EXPECT_EQ(compactor.due(), minutes(5));
  EXPECT_EQ(compactor.at(minutes(4), 15), std::nullopt);
  EXPECT_EQ(compactor.at(minutes(5), 20), 10);
  EXPECT_EQ(compactor.at(minutes(10), 20), 20);
  EXPECT_EQ(compactor.at(minutes(15), 20), std::nullopt) << "nothing new to forget";
  EXPECT_EQ(compactor.at(minutes(20), 21), std::nullopt);
  EXPECT_EQ(compactor.at(minutes(25), 30), 21);
}

TEST(Compactor, LeavesAnEmptyStoreAlone) {
  Compactor compactor;
  EXPECT_EQ(compactor.at(minutes(0), 1), std::nullopt);
  EXPECT_EQ(compactor.at(minutes(5), 1), std::nullopt);
}

}  // namespace
}  // namespace km::store
