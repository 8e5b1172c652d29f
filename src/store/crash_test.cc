// kill -9 at any instant loses no acknowledged write.
//
// The parent starts this test program again as a child that writes without pause and tells each
// acknowledgement over a pipe; kills it at a random instant; opens what it left; and looks for all that was
// told.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>

#include "store/store_testing.h"

extern char** environ;

namespace km::store {
namespace {

constexpr int kRounds = 20;
constexpr int kKeys = 300;
constexpr int kPipe = 3;  // the child's end

struct Ack {
  uint32_t key;
  uint32_t erased;
  Revision revision;  // 0 for a compaction
};

std::string keyName(uint32_t key) {
  return "/k/" + std::to_string(key);
}
// Tells whether the value belongs to the key and is whole; of a size that spans blocks of the log now and
// then.
std::string valueOf(uint32_t key, uint32_t salt) {
  std::string head = std::to_string(key) + ":" + std::to_string(salt) + ":";
  return head + std::string(salt % 50 == 0 ? 40'000 : salt % 700, static_cast<char>('a' + salt % 26));
}
bool whole(uint32_t key, const std::string& value) {
  unsigned k = 0, salt = 0;
  return std::sscanf(value.c_str(), "%u:%u:", &k, &salt) == 2 && k == key && value == valueOf(key, salt);
}

// Not a test by itself: the child.
TEST(DISABLED_Crash, Child) {
  const char* directory = std::getenv("KM_STORE_CRASH_DIRECTORY");
  if (directory == nullptr) GTEST_SKIP();
  auto opened = openEmbedded({directory});
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  Store& store = **opened;
  auto tell = [](const Ack& ack) {
    if (write(kPipe, &ack, sizeof ack) != sizeof ack) _exit(1);
  };
  std::mt19937 random(std::random_device{}());
  std::mutex mutex;
  std::condition_variable room;
  int inFlight = 0;
  for (;;) {
    std::unique_lock lock(mutex);
    room.wait(lock, [&] { return inFlight < 32; });
    ++inFlight;
    lock.unlock();
    auto finished = [&] {
      std::lock_guard guard(mutex);
      --inFlight;
      room.notify_one();
    };
    uint32_t key = random() % kKeys;
    if (random() % 200 == 0) {
      Revision revision = std::max<Revision>(*store.currentRevision() - 100, 1);
      store.compact(revision, [=](Status) { finished(); });
    } else if (random() % 5 == 0) {
      store.commit(Txn::eraseAny(keyName(key)), [=](Result<TxnResult> r) {
        if (r.ok()) tell({key, 1, r->revision});
        finished();
      });
    } else {
      store.commit(Txn::put(keyName(key), bytes(valueOf(key, random() % 100'000))), [=](Result<TxnResult> r) {
        if (r.ok()) tell({key, 0, r->revision});
        finished();
      });
    }
  }
}

pid_t startChild(const std::string& directory, int writeEnd) {
  std::string self = std::filesystem::read_symlink("/proc/self/exe");
  std::string variable = "KM_STORE_CRASH_DIRECTORY=" + directory;
  std::vector<char*> environment = {variable.data()};
  for (char** e = environ; *e != nullptr; ++e) environment.push_back(*e);
  environment.push_back(nullptr);
  std::string filter = "--gtest_filter=DISABLED_Crash.Child", also = "--gtest_also_run_disabled_tests",
              brief = "--gtest_brief=1";
  char* arguments[] = {self.data(), filter.data(), also.data(), brief.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, writeEnd, kPipe);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  int failed = posix_spawn(&child, self.c_str(), &actions, nullptr, arguments, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  return failed == 0 ? child : 0;
}

// Lets a child write for `milliseconds` after its first acknowledgement, kills it, gives all that it told.
std::vector<Ack> writeAndKill(const std::string& directory, int milliseconds) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  pid_t child = startChild(directory, ends[1]);
  close(ends[1]);
  std::vector<Ack> acks;
  if (child != 0) {
    Ack ack;
    auto next = [&] { return read(ends[0], &ack, sizeof ack) == sizeof ack; };
    Duration end{};
    bool killed = false;
    while (next()) {
      acks.push_back(ack);
      Duration now = Clock::system().monotonic();
      if (end == Duration{}) end = now + std::chrono::milliseconds(milliseconds);
      if (!killed && now >= end) killed = kill(child, SIGKILL) == 0;
    }
    if (!killed) kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  close(ends[0]);
  return acks;
}

TEST(Crash, KillLosesNoAcknowledgedWrite) {
  TempDir dir;
  std::mt19937 random(std::random_device{}());
  std::map<uint32_t, Ack> expected;
  Revision acknowledged = 1;
  size_t total = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<Ack> acks = writeAndKill(dir / "data", static_cast<int>(random() % 60));
    ASSERT_FALSE(acks.empty());
    total += acks.size();
    for (const Ack& ack : acks) {
      expected[ack.key] = ack;
      ASSERT_GE(ack.revision, acknowledged);
      acknowledged = ack.revision;
    }
    auto opened = openEmbedded({dir / "data"});
    ASSERT_TRUE(opened.ok()) << "round " << round << ": " << opened.status().message();
    Store& store = **opened;
    ASSERT_GE(*store.currentRevision(), acknowledged);
    for (const auto& [key, ack] : expected) {
      auto kv = store.get(keyName(key));
      ASSERT_TRUE(kv.ok()) << kv.status().message();
      if (kv->has_value()) {
        EXPECT_TRUE(whole(key, *(*kv)->value));
        // Either what was told, or a later write that nobody was told of.
        EXPECT_TRUE(ack.erased ? (*kv)->modRevision > ack.revision : (*kv)->modRevision >= ack.revision)
            << key;
      } else if (!ack.erased) {
        // Gone: only by a later delete that nobody was told of.
        EXPECT_GT(*store.currentRevision(), acknowledged) << key;
      }
      // The parent's view from here on.
      expected[key] = {key, !kv->has_value(), kv->has_value() ? (*kv)->modRevision : ack.revision};
    }
    acknowledged = *store.currentRevision();
  }
  RecordProperty("acknowledged", static_cast<int>(total));
}

}  // namespace
}  // namespace km::store
