// What is said to etcd: the store's types as its messages, and its errors as upstream's API server words them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/grpc.h"
#include "store/store.h"

namespace km::store {

// Keys of the caller begin with "/registry"; in etcd another prefix may stand there.
class EtcdKeys {
 public:
  explicit EtcdKeys(std::string_view prefix);
  std::string toWire(std::string_view key) const;
  std::string fromWire(std::string_view key) const;
  const std::string& prefix() const { return prefix_; }  // without a slash at the end

 private:
  std::string prefix_;
  bool same_;
};

std::string encodeEtcdTxn(const Txn& txn, const EtcdKeys& keys);
// What the transaction came to.
Result<TxnResult> decodeEtcdTxn(std::string_view answer, const Txn& txn, const EtcdKeys& keys);

std::string encodeEtcdRange(const RangeRequest& request, const EtcdKeys& keys);
Result<RangeResult> decodeEtcdRange(std::string_view answer, const EtcdKeys& keys);

struct EtcdWatchAnswer {
  bool created = false, cancelled = false;
  Revision revision = 0;         // of the member when it answered
  Revision compactRevision = 0;  // of a watch that began too early
  std::string cancelReason;
  std::vector<std::shared_ptr<Event>> events;
};
std::string encodeEtcdWatch(std::string_view key, std::string_view end, Revision from, bool withPrev);
std::string encodeEtcdProgressRequest();
Result<EtcdWatchAnswer> decodeEtcdWatch(std::string_view answer, const EtcdKeys& keys);

Status etcdStatus(const http::GrpcStatus& status);

}  // namespace km::store
