// Life on a disk: restart, locks, damage, backup.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "store/store_testing.h"

namespace km::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void spill(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}
std::string findFile(const std::string& directory, const std::string& extension) {
  std::string found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    bool bigger = found.empty() || entry.file_size() > fs::file_size(found);
    if (entry.path().extension() == extension && bigger) found = entry.path();
  }
  return found;
}
std::string wholeStore(Store& store) {
  return list(store, RangeRequest::prefix(""));
}

std::unique_ptr<Store> mustOpen(const std::string& directory) {
  auto store = openEmbedded({directory});
  EXPECT_TRUE(store.ok()) << store.status().message();
  return store.ok() ? std::move(store).value() : nullptr;
}

void fill(Store& store, int keys) {
  for (int i = 0; i < keys; ++i) {
    store.commit(
        Txn::put("/k/" + std::to_string(i), bytes("value-" + std::to_string(i) + std::string(80, 'v'))),
        nullptr);
  }
  put(store, "/last", "1");
}

TEST(Embedded, KeepsEverythingOverRestarts) {
  TempDir dir;
  std::string before;
  {
    auto store = mustOpen(dir / "deep/down/data");
    fill(*store, 300);
    erase(*store, "/k/7");
    put(*store, "/k/8", "new");
    ASSERT_TRUE(compactAndWait(*store, 100).ok());
    before = wholeStore(*store);
  }
  struct stat info;
  ASSERT_EQ(::stat((dir / "deep/down/data").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  for (int round = 0; round < 3; ++round) {
    auto store = mustOpen(dir / "deep/down/data");
    EXPECT_EQ(wholeStore(*store), before);
    EXPECT_EQ(*store->currentRevision(), 304 + round);
    EXPECT_EQ(store->stats().compacted, 100);
    RangeRequest past = RangeRequest::prefix("/k/");
    past.revision = 302;
    EXPECT_EQ(store->range(past)->count, 300);
    past.revision = 99;
    EXPECT_EQ(store->range(past).status().reason(), "Expired");
    put(*store, "/last", std::to_string(round));
    before = wholeStore(*store);
  }
}

TEST(Embedded, CompactedTombstonesStayGone) {
  TempDir dir;
  {
    auto store = mustOpen(dir / "data");
    fill(*store, 3000);
    for (int i = 0; i < 3000; ++i) store->commit(Txn::eraseAny("/k/" + std::to_string(i)), nullptr);
    Revision revision = put(*store, "/last", "2");
    ASSERT_TRUE(compactAndWait(*store, revision).ok());
  }
  auto store = mustOpen(dir / "data");
  EXPECT_EQ(wholeStore(*store), "/last=2");
  // The rest of the compaction goes on beside the writes: one step for each batch, if not faster.
  for (int i = 0; i < 10; ++i) erase(*store, "absent");
  EXPECT_EQ(store->stats().history, 0);
}

TEST(Embedded, OneOwnerOnly) {
  TempDir dir;
  auto store = mustOpen(dir / "data");
  auto second = openEmbedded({dir / "data"});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().message(),
              HasSubstr("is in use by another km (pid " + std::to_string(getpid()) + ")"));
  put(*store, "a", "1");  // the refusal did not harm the owner
}

TEST(Embedded, TellsWhichProcessHoldsTheDirectory) {
  TempDir dir;
  { auto store = mustOpen(dir / "data"); }
  int ready[2], done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  pid_t child = fork();
  if (child == 0) {
    // Only system calls here: the parent has threads.
    int fd = open((dir / "data/LOCK").c_str(), O_RDWR);
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    char byte = fcntl(fd, F_SETLK, &lock) == 0 ? 'y' : 'n';
    (void)!write(ready[1], &byte, 1);
    close(done[1]);
    (void)!read(done[0], &byte, 1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  auto refused = openEmbedded({dir / "data"});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(),
              HasSubstr("in use by another km (pid " + std::to_string(child) + ")"));
  for (int fd : {ready[0], ready[1], done[0], done[1]}) close(fd);
  waitpid(child, nullptr, 0);
}

TEST(Embedded, SaysWhyADirectoryCannotBeUsed) {
  TempDir dir;
  spill(dir / "file", "");
  EXPECT_THAT(openEmbedded({dir / "file"}).status().message(), HasSubstr("is not a directory"));
  EXPECT_THAT(openEmbedded({dir / "file/below"}).status().message(), HasSubstr("is not a directory"));
  if (getuid() != 0) {
    fs::create_directory(dir / "closed");
    fs::permissions(dir / "closed", fs::perms::owner_read);
    EXPECT_THAT(openEmbedded({dir / "closed"}).status().message(),
                HasSubstr("cannot write to data directory"));
  }
}

// A copy of the files of a running, quiet store is what a crash leaves: a log and nothing flushed.
class CrashedStore : public testing::Test {
 protected:
  static constexpr int kKeys = 400;
  CrashedStore() {
    auto store = mustOpen(dir_ / "data");
    fill(*store, kKeys);
    fs::copy(dir_ / "data", dir_ / "crashed", fs::copy_options::recursive);
    whole_ = wholeStore(*store);
  }
  // Opens a fresh copy after `harm` was done to it.
  Result<std::unique_ptr<Store>> openHarmed(const std::function<void(const std::string&)>& harm) {
    store_.reset();
    fs::remove_all(dir_ / "copy");
    fs::copy(dir_ / "crashed", dir_ / "copy", fs::copy_options::recursive);
    harm(dir_ / "copy");
    return openEmbedded({dir_ / "copy"});
  }
  TempDir dir_;
  std::unique_ptr<Store> store_;
  std::string whole_;
};

TEST_F(CrashedStore, OpensWithAllThatWasAcknowledged) {
  auto store = openHarmed([](const std::string&) {});
  ASSERT_TRUE(store.ok()) << store.status().message();
  EXPECT_EQ(wholeStore(**store), whole_);
}

TEST_F(CrashedStore, ATornTailIsAWriteThatNeverHappened) {
  std::mt19937 random(1);
  for (int round = 0; round < 12; ++round) {
    size_t cut = 1 + random() % 3000;
    auto store = openHarmed([&](const std::string& copy) {
      std::string log = findFile(copy, ".log");
      fs::resize_file(log, fs::file_size(log) - cut);
    });
    ASSERT_TRUE(store.ok()) << store.status().message();
    // What is left is a prefix of the history.
    Revision revision = *(*store)->currentRevision();
    EXPECT_LT(revision, kKeys + 2);
    EXPECT_EQ((*store)->range(RangeRequest::prefix(""))->count, revision - 1);
    put(**store, "/after", "1");
  }
}

TEST_F(CrashedStore, AFlippedByteInTheLogIsRefused) {
  std::string log = slurp(findFile(dir_ / "crashed", ".log"));
  std::vector<size_t> places;
  for (size_t at = log.find("value-"); at != std::string::npos; at = log.find("value-", at + 1))
    places.push_back(at);
  ASSERT_GT(places.size(), 100u);
  for (size_t i = 0; i < 12; ++i) {
    size_t at = places[i * (places.size() - 1) / 11];
    auto store = openHarmed([&](const std::string& copy) {
      std::string harmed = log;
      harmed[at] ^= 0x20;
      spill(findFile(copy, ".log"), harmed);
    });
    ASSERT_FALSE(store.ok()) << at;
    EXPECT_THAT(store.status().message(), HasSubstr("is damaged")) << at;
    EXPECT_THAT(store.status().message(), HasSubstr("restore the last backup")) << at;
  }
}

TEST_F(CrashedStore, AMissingFileIsRefused) {
  {
    auto closed = openHarmed([](const std::string&) {});
  }  // closing flushes the log into a table
  fs::remove_all(dir_ / "crashed");
  fs::copy(dir_ / "copy", dir_ / "crashed", fs::copy_options::recursive);
  for (const char* what : {".sst", "CURRENT", "MANIFEST"}) {
    auto store = openHarmed([&](const std::string& copy) {
      for (const auto& entry : fs::directory_iterator(copy)) {
        if (entry.path().string().find(what) != std::string::npos) fs::remove(entry.path());
      }
    });
    ASSERT_FALSE(store.ok()) << what;
    EXPECT_THAT(store.status().message(), HasSubstr("is damaged")) << what;
  }
}

TEST_F(CrashedStore, AFlippedByteInATableIsRefusedOrHarmless) {
  {
    auto closed = openHarmed([](const std::string&) {});
  }
  fs::remove_all(dir_ / "crashed");
  fs::copy(dir_ / "copy", dir_ / "crashed", fs::copy_options::recursive);
  std::string table = slurp(findFile(dir_ / "crashed", ".sst"));
  ASSERT_GT(table.size(), 2000u);
  int refused = 0;
  for (size_t i = 0; i < 24; ++i) {
    auto store = openHarmed([&](const std::string& copy) {
      std::string harmed = table;
      harmed[i * (table.size() - 1) / 23] ^= 0x10;
      spill(findFile(copy, ".sst"), harmed);
    });
    if (store.ok()) {
      EXPECT_EQ(wholeStore(**store), whole_) << i;  // the byte carried no data
    } else {
      EXPECT_THAT(store.status().message(), HasSubstr("is damaged")) << i;
      ++refused;
    }
  }
  EXPECT_GT(refused, 12);
}

TEST(Backup, RestoresTheWholeStore) {
  TempDir dir;
  FakeClock clock;
  std::string before;
  {
    auto opened = openEmbedded({dir / "data", &clock});
    Store& store = **opened;
    fill(store, 500);
    put(store, "leased", "1", *leaseGrantAndWait(store, 60));
    erase(store, "/k/3");
    ASSERT_TRUE(compactAndWait(store, 200).ok());
    before = wholeStore(store);
    Status s = store.backup(dir / "backup");
    ASSERT_TRUE(s.ok()) << s.message();
    EXPECT_THAT(store.backup(dir / "backup").message(), HasSubstr("exists"));
    put(store, "later", "1");
  }
  struct stat info;
  ASSERT_EQ(::stat((dir / "backup").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  Status s = restoreEmbedded(dir / "backup", dir / "restored");
  ASSERT_TRUE(s.ok()) << s.message();
  {
    auto opened = openEmbedded({dir / "restored", &clock});
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(wholeStore(**opened), before);
    EXPECT_EQ(*(*opened)->currentRevision(), 504);
    EXPECT_EQ((*opened)->stats().compacted, 200);
    EXPECT_EQ((*opened)->stats().leases, 1);
  }
  EXPECT_THAT(restoreEmbedded(dir / "backup", dir / "restored").message(), HasSubstr("is not empty"));
  EXPECT_THAT(restoreEmbedded(dir / "none", dir / "x").message(), HasSubstr("cannot read the backup"));
}

TEST(Backup, DamageIsFoundBeforeAnythingIsRestored) {
  TempDir dir;
  auto store = openMemory();
  fill(*store, 100);
  ASSERT_TRUE(store->backup(dir / "backup").ok());
  std::string good = slurp(dir / "backup");
  std::mt19937 random(3);
  for (int i = 0; i < 60; ++i) {
    std::string bad = good;
    if (i % 3 == 0) {
      bad.resize(random() % bad.size());
    } else if (i % 3 == 1) {
      bad[random() % bad.size()] ^= static_cast<char>(1 + random() % 255);
    } else {
      bad += 'x';
    }
    spill(dir / "bad", bad);
    Status s = restoreEmbedded(dir / "bad", dir / "restored");
    EXPECT_FALSE(s.ok());
    EXPECT_FALSE(fs::exists(dir / "restored"));
  }
  spill(dir / "bad", good);
  EXPECT_TRUE(restoreEmbedded(dir / "bad", dir / "restored").ok());
}

}  // namespace
}  // namespace km::store
