#include "testing/simulation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "testing/threads.h"

namespace km::testing {
namespace {

// The program beside this one's directory (room.cmake).
std::string program() { return (std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "simulate").string(); }

void expectAllHolds(const std::vector<uint64_t>& seeds) {
  size_t runs = 0;
  simulate(program(), seeds, false, [&](const Outcome& o) {
    runs++;
    EXPECT_EQ(o.failure, "") << "simulate --trace " << o.seed;
  });
  EXPECT_EQ(runs, seeds.size());
}

struct SimulationTest : ::testing::Test {
  void SetUp() override {
    if (!canPlay()) GTEST_SKIP();
  }
};

TEST_F(SimulationTest, ACoupleOfRuns) {
  std::vector<uint64_t> seeds;
  for (uint64_t s = 1'000'001; s <= 1'000'024; s++) seeds.push_back(s);
  expectAllHolds(seeds);
}

// Each found a mistake once.
TEST_F(SimulationTest, KeptSeeds) {
  expectAllHolds({
      18, 41, 53,    // a local watch whose first wake came while it was opened stayed silent
      198, 492,      // a set waited for ever for a pod that was made and gone between two lists
      183, 350, 527, // a deployment that was scaled and changed at once, or had adopted several sets, waited for ever
      3, 411,        // putting addresses right at a start walked a list that was gone
      128, 309,      // kubelet and node controller wrote a pod's status in turn, as fast as they could
      44, 814, 952,  // a full node refused pods for one that was gone from the API, and its set made others as fast as it could
      289, 1097, 1139,  // Endpoints were compared with a cache that did not show the latest write yet
      2659,          // pods that were there before a controller counted as those that it had just made
      2144, 2212,    // an informer's callback kept the controllers' state beyond the end of what it stands on
      11834,         // the late end of a set let its successor of the same name forget what it had made
      493,           // pods of a set that could not make more were never told to be available, and a rollout ended those that served
      899,           // a Recreate deployment that had adopted a set for its own template waited for ever
      108,           // a write that failed as the disk was full, and had happened (of the invariant)
  });
}

TEST_F(SimulationTest, ASeedIsOneRun) {
  std::vector<uint64_t> hashes;
  for (int i = 0; i < 2; i++) {
    simulate(program(), {5, 6, 7}, false, [&](const Outcome& o) { hashes.push_back(o.hash); });
  }
  ASSERT_EQ(hashes.size(), 6u);
  for (size_t i = 0; i < 3; i++) EXPECT_EQ(hashes[i], hashes[i + 3]);
}

}  // namespace
}  // namespace km::testing
