// What this room keeps for each thread, for who plays many threads on one (testing/threads.h): to be exchanged when another thread goes on.
#pragma once

namespace km::async {

class Loop;
class PostBatch;

struct ThreadState {
  Loop* loop = nullptr;       // that runs on the thread
  PostBatch* batch = nullptr;
  void* calls = nullptr;      // of Boost.Asio: the loops whose callbacks are on the thread's stack
};

// Makes `next` the calling thread's and returns what was.
ThreadState exchangeThreadState(const ThreadState& next);

}  // namespace km::async
