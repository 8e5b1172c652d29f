// The Store over etcd. One thread, the loop's, carries the connections and runs every callback and sink.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "async/loop.h"
#include "store/etcd.h"
#include "store/etcd_hub.h"
#include "store/etcd_leases.h"
#include "store/etcd_transport.h"
#include "store/etcd_wire.h"

namespace km::store {

class EtcdStore final : public Store {
 public:
  static Result<std::unique_ptr<EtcdStore>> open(const EtcdOptions& options);
  ~EtcdStore() override;

  void commit(Txn txn, Callback<TxnResult> done) override;
  Result<std::optional<KeyValue>> get(std::string_view key) override;
  Result<RangeResult> range(const RangeRequest& request) override;
  Result<Revision> currentRevision() override;
  void freshRevision(Callback<Revision> done) override;
  std::unique_ptr<Watch> watch(std::string prefix, Revision fromRevision, WatchSink& sink) override;
  Result<History> history(std::string_view prefix, Revision after, Revision through, size_t maxEvents, size_t maxBytes) override;
  void compact(Revision revision, Done done) override;
  void leaseGrant(int64_t ttlSeconds, Callback<LeaseId> done) override;
  void leaseRevoke(LeaseId lease, Done done) override;
  void leaseForKey(int64_t ttlSeconds, Callback<LeaseId> done) override;
  void probe(Duration timeout, Done done) override;
  void hurry() override;
  Status backup(const std::string& path) override;
  Stats stats() override;

 private:
  struct Writing;  // one write from its call to its callback
  using WritingPtr = std::shared_ptr<Writing>;

  explicit EtcdStore(const EtcdOptions& options);
  Status connect();
  http::GrpcResult callAndWait(std::string method, std::string request);
  Result<RangeResult> rangeOnce(const RangeRequest& request);

  // On the loop.
  void written(const WritingPtr& w, http::GrpcResult result);
  void finishWrite(const WritingPtr& w);
  void forgetWrite(const WritingPtr& w);
  void attach(Event& event);
  void advanced(Revision revision);
  void sweepWaiting();
  void readRevision();

  const EtcdOptions options_;
  const EtcdKeys keys_;
  async::Loop loop_;
  std::unique_ptr<EtcdTransport> transport_;
  std::unique_ptr<EtcdHub> hub_;
  std::unique_ptr<EtcdLeases> leases_;

  // Of the loop.
  std::unordered_multimap<std::string, WritingPtr> writings_;  // by key, until their event came
  std::multimap<Revision, WritingPtr> awaitingEvent_;          // acknowledged
  std::unique_ptr<async::Timer> sweeper_;
  std::vector<Callback<Revision>> revisionAsked_;  // for the next request
  bool revisionRunning_ = false;

  std::mutex mutex_;
  std::condition_variable quiet_;
  size_t writes_ = 0;  // guarded by mutex_: callbacks not yet run
  std::atomic<uint64_t> transactions_{0};
};

}  // namespace km::store
