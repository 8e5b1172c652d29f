#include "async/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "async/output_queue.h"
#include "async/process.h"
#include "async/socket.h"

namespace km::async {
namespace {

using std::chrono::milliseconds;

TEST(Loop, RunsPostsInOrderThenDeferred) {
  Loop loop;
  std::string order;
  loop.post([&] {
    loop.defer([&] { order += "d"; });
    order += "a";
  });
  loop.post([&] { order += "b"; });
  loop.post([&] { loop.post([&] { loop.stop(); }); });
  loop.run();
  EXPECT_EQ(order, "abd");
}

TEST(Loop, PostsFromManyThreads) {
  LoopGroup group(2, "t");
  std::atomic<int> count{0};
  std::promise<void> all;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        group.next().post([&] {
          if (++count == 4000) all.set_value();
        });
      }
    });
  }
  for (auto& t : threads) t.join();
  all.get_future().wait();
  EXPECT_EQ(count, 4000);
}

TEST(Loop, KeepsPostsOfABatchTogetherAndInOrder) {
  Loop a, b;
  a.start("a");
  b.start("b");
  std::mutex mutex;
  std::string seen;
  std::atomic<int> left{4};
  auto note = [&](char c) {
    std::lock_guard lock(mutex);
    seen += c;
    left--;
  };
  auto handle = a.handle();
  {
    PostBatch together;
    a.post([&] { note('1'); });
    {
      PostBatch inner;
      a.post([&] { note('2'); });
    }
    EXPECT_EQ(seen, "");
    handle->post([&] { note('3'); });  // takes along what is kept
    a.post([&] { note('4'); });
  }
  std::atomic<bool> done{false};
  b.post([&] { done = true; });
  while (left > 0 || !done) std::this_thread::yield();
  EXPECT_EQ(seen, "1234");
  a.stop();
  b.stop();
  a.join();
  b.join();
}

TEST(Timer, FiresOnceAndCancels) {
  Loop loop;
  int fired = 0;
  Timer a(loop), b(loop), end(loop);
  a.start(milliseconds(1), [&] { fired += 1; });
  b.start(milliseconds(1), [&] { fired += 100; });
  b.cancel();
  EXPECT_FALSE(b.armed());
  a.start(milliseconds(2), [&] { fired += 10; });  // instead of the first
  end.start(milliseconds(20), [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(fired, 10);
}

TEST(Timer, MayDestroyItself) {
  Loop loop;
  auto t = std::make_unique<Timer>(loop);
  t->start(milliseconds(1), [&] {
    t.reset();
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(t, nullptr);
}

TEST(FdWatch, TellsOfReadinessLevelTriggered) {
  Loop loop;
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  UniqueFd in(fds[0]), out(fds[1]);
  ASSERT_EQ(write(out.get(), "abc", 3), 3);
  std::string got;
  FdWatch watch(loop, in.get());
  watch.whileReadable([&] {
    char c;
    ASSERT_EQ(read(in.get(), &c, 1), 1);  // leaves the rest: told again
    got += c;
    if (got.size() == 3) loop.stop();
  });
  loop.run();
  EXPECT_EQ(got, "abc");
}

TEST(Signals, CallBack) {
  Loop loop;
  int got = 0;
  Signals signals(loop, {SIGUSR2}, [&](int s) {
    got = s;
    loop.stop();
  });
  loop.post([] { ::kill(getpid(), SIGUSR2); });
  loop.run();
  EXPECT_EQ(got, SIGUSR2);
}

TEST(Process, RunsWithArgumentsEnvironmentAndPipes) {
  Loop loop;
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  UniqueFd in(fds[0]), out(fds[1]);
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", "echo \"$GREETING $1 $PWD\"; exit 7", "sh", "arg"};
  spec.env = {"GREETING=hello"};
  spec.cwd = "/";
  spec.fds = {{1, out.get()}};
  ProcessExit exit;
  auto p = Process::spawn(loop, spec, [&](ProcessExit e) {
    exit = e;
    loop.stop();
  });
  ASSERT_TRUE(p.ok()) << p.status().message();
  out.reset();
  loop.run();
  EXPECT_EQ(exit.code, 7);
  char text[100];
  ssize_t n = read(in.get(), text, sizeof text);
  EXPECT_EQ(std::string(text, n), "hello arg /\n");
  EXPECT_FALSE((*p)->running());
  EXPECT_FALSE((*p)->kill(SIGTERM).ok());
}

TEST(Process, ChildrenGetTheFileLimitAsItWas) {
  rlimit found;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &found), 0);
  rlimit low{found.rlim_cur / 2, found.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  raiseFileLimit();
  rlimit raised;
  getrlimit(RLIMIT_NOFILE, &raised);
  EXPECT_EQ(raised.rlim_cur, found.rlim_max);
  Loop loop;
  int fds[2], go[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(go, O_CLOEXEC), 0);
  UniqueFd in(fds[0]), out(fds[1]), goIn(go[0]), goOut(go[1]);
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", "read go; ulimit -n"};
  spec.fds = {{0, goIn.get()}, {1, out.get()}};
  auto p = Process::spawn(loop, spec, [&](ProcessExit) { loop.stop(); });
  ASSERT_TRUE(p.ok()) << p.status().message();
  ASSERT_EQ(write(goOut.get(), "go\n", 3), 3);
  loop.run();
  char text[100];
  ssize_t n = read(in.get(), text, sizeof text);
  EXPECT_EQ(std::string(text, n), std::to_string(low.rlim_cur) + "\n");
  setrlimit(RLIMIT_NOFILE, &found);
}

// Under the address sanitizer: what waits for a child goes with the loop.
TEST(Process, MayOutliveItsLoop) {
  std::unique_ptr<Process> p;
  auto kept = std::make_shared<int>(0);
  pid_t pid = 0;
  {
    Loop loop;
    ProcessSpec spec;
    spec.argv = {"sleep", "60"};
    auto spawned = Process::spawn(loop, spec, [kept](ProcessExit) {});
    ASSERT_TRUE(spawned.ok());
    p = std::move(*spawned);
    pid = p->pid();
    EXPECT_TRUE(p->kill(SIGKILL).ok());
  }
  p.reset();
  EXPECT_EQ(kept.use_count(), 1);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
}

TEST(Process, IsKilledAndMissingProgramsAreErrors) {
  Loop loop;
  ProcessSpec spec;
  spec.argv = {"sleep", "100"};
  ProcessExit exit;
  auto p = Process::spawn(loop, spec, [&](ProcessExit e) {
    exit = e;
    loop.stop();
  });
  ASSERT_TRUE(p.ok()) << p.status().message();
  EXPECT_TRUE((*p)->kill(SIGKILL).ok());
  loop.run();
  EXPECT_EQ(exit.signal, SIGKILL);
  spec.argv = {"/nonexistent/program"};
  EXPECT_FALSE(Process::spawn(loop, spec, nullptr).ok());
}

TEST(Socket, ListensAcceptsAndConnects) {
  Loop loop;
  auto listener = listenTcp("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok()) << listener.status().message();
  int port = localPort(listener->get());
  ASSERT_GT(port, 0);
  UniqueFd accepted, connected;
  auto both = [&] {
    if (accepted && connected) loop.stop();
  };
  Acceptor acceptor(loop, std::move(*listener), [&](UniqueFd fd) {
    accepted = std::move(fd);
    both();
  });
  connectTcp(loop, "localhost", port, std::chrono::seconds(5), [&](Result<UniqueFd> fd) {
    ASSERT_TRUE(fd.ok()) << fd.status().message();
    connected = std::move(*fd);
    both();
  });
  loop.run();
  EXPECT_EQ(remoteAddress(connected.get()), "127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(remoteAddress(accepted.get()), localAddress(connected.get()));
}

TEST(Socket, RefusedConnectionIsAnError) {
  Loop loop;
  int port;
  {
    auto listener = listenTcp("127.0.0.1", 0);
    port = localPort(listener->get());
  }
  Status s;
  connectTcp(loop, "127.0.0.1", port, std::chrono::seconds(5), [&](Result<UniqueFd> fd) {
    s = fd.status();
    loop.stop();
  });
  loop.run();
  EXPECT_NE(s.message().find("refused"), std::string::npos) << s.message();
}

TEST(OutputQueue, KeepsOrderOverCopiesAndReferences) {
  OutputQueue q;
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    std::string piece(static_cast<size_t>(i * 131 % 9000), static_cast<char>('a' + i % 26));
    if (i % 3 == 0) {
      q.append(std::string_view(piece));
    } else {
      q.append(Buffer(piece));
    }
    expected += piece;
    if (i % 7 == 0 && !q.empty()) {
      char some[5000];
      size_t n = q.gather(some, std::min<size_t>(sizeof some, q.size() / 2));
      ASSERT_EQ(std::string_view(some, n), expected.substr(0, n));
      expected.erase(0, n);
      q.consume(n);
    }
    ASSERT_EQ(q.size(), expected.size());
  }
  while (!q.empty()) {
    std::string_view f = q.front();
    ASSERT_EQ(f, expected.substr(0, f.size()));
    expected.erase(0, f.size());
    q.consume(f.size());
  }
}

}  // namespace
}  // namespace km::async
