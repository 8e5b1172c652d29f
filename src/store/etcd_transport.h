// Calls to a cluster of etcd: one endpoint is in use, and another takes its place when it fails or falls silent.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/file_watch.h"
#include "async/loop.h"
#include "http/grpc.h"
#include "store/etcd.h"

namespace km::store {

// All on the loop, which must be the caller's thread but for call() and the constructor.
class EtcdTransport {
 public:
  static Result<std::unique_ptr<EtcdTransport>> make(async::Loop& loop, const EtcdOptions& options);
  // On the loop, or after it stopped. Calls under way end with an error.
  ~EtcdTransport();

  // A read is repeated at other endpoints until its time is over. A write is repeated only where it surely did
  // not reach a server.
  enum class Kind { kRead, kWrite };
  using Callback = std::function<void(http::GrpcResult)>;
  // From any thread. The answer comes on the loop.
  void call(std::string method, std::string request, Kind kind, Duration timeout, Callback done);
  // The same at the endpoint of this number alone: for its health and version.
  void callAt(size_t endpoint, std::string method, std::string request, Duration timeout, Callback done);

  size_t endpoints() const { return channels_.size(); }
  size_t current() const { return current_; }
  http::GrpcChannel& channel() { return *channels_[current_]; }
  // What used this endpoint has failed: the next one is used from now on, unless that was decided already.
  void failed(size_t endpoint);
  // Called after each change of the endpoint.
  void onMove(async::Task task) { moved_ = std::move(task); }
  // No call takes longer than this from now on.
  void hurry(Duration most);

 private:
  struct Running;
  explicit EtcdTransport(async::Loop& loop) : loop_(loop) {}
  void start(const std::shared_ptr<Running>& r);
  void answered(const std::shared_ptr<Running>& r, http::GrpcResult result);
  void finish(const std::shared_ptr<Running>& r, http::GrpcResult result);
  void watchOver();
  void probe();

  async::Loop& loop_;
  std::unique_ptr<async::FileWatch> tlsFiles_;
  std::unique_ptr<http::Client> client_;
  std::vector<std::unique_ptr<http::GrpcChannel>> channels_;
  size_t current_ = 0;
  async::Task moved_;
  std::list<std::shared_ptr<Running>> running_;
  std::unique_ptr<async::Timer> overseer_;
  bool probing_ = false;
  std::optional<Duration> most_;
  std::unique_ptr<async::Timer> hurried_;
  Duration loggedAt_{0};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace km::store
