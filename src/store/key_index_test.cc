#include "store/key_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace km::store {
namespace {

// The plainest index there can be.
struct Model {
  std::map<std::string, std::map<Revision, bool>> keys;  // revision -> tombstone

  Revision find(const std::string& key, Revision at) const {
    auto it = keys.find(key);
    if (it == keys.end()) return 0;
    auto after = it->second.upper_bound(at);
    if (after == it->second.begin()) return 0;
    --after;
    return after->second ? 0 : after->first;
  }
  std::vector<std::pair<std::string, Revision>> walk(const std::string& start, const std::string& end,
                                                     Revision at) const {
    std::vector<std::pair<std::string, Revision>> out;
    for (auto it = keys.lower_bound(start); it != keys.end() && (end.empty() || it->first < end); ++it) {
      if (Revision r = find(it->first, at)) out.emplace_back(it->first, r);
    }
    return out;
  }
  // Revisions that may go when `at` is compacted.
  std::set<Revision> compact(Revision at) {
    std::set<Revision> dropped;
    for (auto it = keys.begin(); it != keys.end();) {
      auto& revisions = it->second;
      auto after = revisions.upper_bound(at);
      if (after != revisions.begin()) {
        auto shown = std::prev(after);
        for (auto r = revisions.begin(); r != shown; r = revisions.erase(r)) dropped.insert(r->first);
        bool newest = std::next(shown) == revisions.end();
        if (shown->second && newest && shown->first < at) {
          dropped.insert(shown->first);
          revisions.erase(shown);
        }
      }
      it = revisions.empty() ? keys.erase(it) : std::next(it);
    }
    return dropped;
  }
};

std::string randomKey(std::mt19937& random, int keys) {
  static const char* const kResources[] = {"pods/default/", "pods/kube-system/", "leases/", "",
                                           "nodes/x\xff"};
  int n = static_cast<int>(random() % keys);
  return "/registry/" + std::string(kResources[n % 5]) + std::to_string(n * 7919 % 10007);
}

void check(const KeyIndex& index, const Model& model, Revision at, std::mt19937& random, int keys) {
  std::string start = random() % 4 == 0 ? "" : randomKey(random, keys);
  std::string end = random() % 4 == 0 ? "" : randomKey(random, keys);
  if (!end.empty() && end < start) std::swap(start, end);
  if (start == end && !end.empty()) return;
  auto expected = model.walk(start, end, at);
  for (int64_t limit : {int64_t{-1}, int64_t{0}, static_cast<int64_t>(random() % 20)}) {
    std::vector<KeyIndex::Found> found;
    EXPECT_EQ(index.walk(start, end, at, limit, found), static_cast<int64_t>(expected.size()));
    size_t size = limit < 0 ? expected.size() : std::min(expected.size(), static_cast<size_t>(limit));
    ASSERT_EQ(found.size(), size);
    for (size_t i = 0; i < size; ++i) {
      EXPECT_EQ(found[i].key, expected[i].first);
      EXPECT_EQ(found[i].revision, expected[i].second);
    }
  }
  std::string key = randomKey(random, keys);
  EXPECT_EQ(index.find(key, at), model.find(key, at)) << key;
}

class KeyIndexTest : public testing::TestWithParam<int> {};

TEST_P(KeyIndexTest, BehavesAsThePlainModel) {
  const int keys = GetParam();
  std::mt19937 random(static_cast<unsigned>(keys));
  KeyIndex index;
  Model model;
  Revision compacted = 1;
  for (Revision revision = 2; revision < 6000; ++revision) {
    std::string key = randomKey(random, keys);
    bool tombstone = random() % 3 == 0 && model.find(key, revision) != 0;
    index.add(key, revision, tombstone);
    model.keys[key][revision] = tombstone;
    if (revision % 37 == 0) {
      check(index, model, revision, random, keys);
      check(index, model,
            compacted + static_cast<Revision>(random() % static_cast<unsigned>(revision - compacted + 1)),
            random, keys);
      ASSERT_FALSE(HasFailure());
    }
    if (revision % 501 == 0) {
      compacted += static_cast<Revision>(random() % static_cast<unsigned>(revision - compacted + 1));
      std::vector<Revision> dropped;
      size_t steps = 1 + random() % 50;
      while (!index.compact(compacted, steps, dropped)) {
      }
      std::set<Revision> set(dropped.begin(), dropped.end());
      EXPECT_EQ(set.size(), dropped.size()) << "a row was dropped twice";
      EXPECT_EQ(set, model.compact(compacted)) << compacted;
    }
  }
  EXPECT_EQ(index.liveKeys(), static_cast<int64_t>(model.walk("", "", 1'000'000).size()));
}

INSTANTIATE_TEST_SUITE_P(Sizes, KeyIndexTest, testing::Values(1, 5, 60, 300, 5000));

TEST(KeyIndex, ForgetsKeysThatAreGone) {
  KeyIndex index;
  Revision revision = 1;
  for (int i = 0; i < 1000; ++i) index.add("/k/" + std::to_string(i), ++revision, false);
  for (int i = 0; i < 1000; ++i) index.add("/k/" + std::to_string(i), ++revision, true);
  index.add("/other", ++revision, false);
  std::vector<Revision> dropped;
  EXPECT_TRUE(index.compact(revision, 1'000'000, dropped));
  EXPECT_EQ(dropped.size(), 2000u);
  EXPECT_EQ(index.historySize(), 0);
  EXPECT_EQ(index.liveKeys(), 1);
  EXPECT_EQ(index.find("/other", revision), revision);
}

}  // namespace
}  // namespace km::store
