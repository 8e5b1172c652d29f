#include "store/store.h"

#include <future>

namespace km::store {
namespace {

Txn make(Txn::Op op, std::string key, Bytes value, std::optional<Revision> guard, LeaseId lease) {
  Txn txn;
  txn.op = op;
  txn.key = std::move(key);
  txn.value = std::move(value);
  txn.guard = guard;
  txn.lease = lease;
  return txn;
}

// Runs `start` with a callback and waits until it was called.
template <typename T, typename Start>
T await(Start start) {
  auto promise = std::make_shared<std::promise<T>>();
  auto future = promise->get_future();
  start([promise](T value) { promise->set_value(std::move(value)); });
  return future.get();
}

}  // namespace

Txn Txn::create(std::string key, Bytes value, LeaseId lease) {
  return make(Op::kPut, std::move(key), std::move(value), 0, lease);
}
Txn Txn::update(std::string key, Revision modRevision, Bytes value, LeaseId lease) {
  return make(Op::kPut, std::move(key), std::move(value), modRevision, lease);
}
Txn Txn::erase(std::string key, Revision modRevision) {
  return make(Op::kDelete, std::move(key), nullptr, modRevision, 0);
}
Txn Txn::put(std::string key, Bytes value, LeaseId lease) {
  return make(Op::kPut, std::move(key), std::move(value), std::nullopt, lease);
}
Txn Txn::eraseAny(std::string key) {
  return make(Op::kDelete, std::move(key), nullptr, std::nullopt, 0);
}

RangeRequest RangeRequest::prefix(std::string_view prefix) {
  RangeRequest request;
  request.start = prefix;
  request.end = prefixEnd(prefix);
  return request;
}

std::string prefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

Result<History> Store::history(std::string_view, Revision, Revision, size_t, size_t) {
  return errors::expired("the store keeps no history");
}

Result<TxnResult> commitAndWait(Store& store, Txn txn) {
  return await<Result<TxnResult>>([&](auto done) { store.commit(std::move(txn), std::move(done)); });
}
Status compactAndWait(Store& store, Revision revision) {
  return await<Status>([&](auto done) { store.compact(revision, std::move(done)); });
}
Result<LeaseId> leaseGrantAndWait(Store& store, int64_t ttlSeconds) {
  return await<Result<LeaseId>>([&](auto done) { store.leaseGrant(ttlSeconds, std::move(done)); });
}
Status leaseRevokeAndWait(Store& store, LeaseId lease) {
  return await<Status>([&](auto done) { store.leaseRevoke(lease, std::move(done)); });
}

}  // namespace km::store
