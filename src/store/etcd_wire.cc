#include "store/etcd_wire.h"

#include "api/types/etcd_v3_kv.h"
#include "api/types/etcd_v3_rpc.h"
#include "codec/proto.h"
#include "store/mvcc.h"

namespace km::store {

namespace rpc = api::etcd_v3_rpc;
namespace kv = api::etcd_v3_kv;

namespace {

constexpr std::string_view kRoot = "/registry";
constexpr std::string_view kNul("\0", 1);  // as a key the first one; as an end: without one

KeyValue toKeyValue(const kv::KeyValue& from, const EtcdKeys& keys) {
  KeyValue out;
  out.key = keys.fromWire(from.key);
  out.value = std::make_shared<const std::string>(from.value.view());
  out.createRevision = from.createRevision;
  out.modRevision = from.modRevision;
  out.version = from.version;
  out.lease = from.lease;
  return out;
}

Revision revisionOf(const codec::Box<rpc::ResponseHeader>& header) { return header ? header->revision : 0; }

}  // namespace

EtcdKeys::EtcdKeys(std::string_view prefix) : prefix_(prefix) {
  while (!prefix_.empty() && prefix_.back() == '/') prefix_.pop_back();
  if (prefix_.empty() || prefix_[0] != '/') prefix_.insert(0, "/");
  same_ = prefix_ == kRoot;
}

std::string EtcdKeys::toWire(std::string_view key) const {
  if (same_ || !key.starts_with(kRoot)) return std::string(key);
  return prefix_ + std::string(key.substr(kRoot.size()));
}

std::string EtcdKeys::fromWire(std::string_view key) const {
  if (same_ || !key.starts_with(prefix_)) return std::string(key);
  return std::string(kRoot) + std::string(key.substr(prefix_.size()));
}

std::string encodeEtcdTxn(const Txn& txn, const EtcdKeys& keys) {
  std::string key = keys.toWire(txn.key);
  rpc::TxnRequest request;
  if (txn.guard) {
    rpc::Compare& compare = request.compare.add();
    compare.result = rpc::CompareResult::kEQUAL;
    compare.target = rpc::CompareTarget::kMOD;
    compare.key = key;
    compare.modRevision = *txn.guard;
    request.failure.add().requestRange.emplace().key = key;
  }
  rpc::RequestOp& op = request.success.add();
  if (txn.op == Txn::Op::kPut) {
    rpc::PutRequest& put = op.requestPut.emplace();
    put.key = key;
    put.value = *txn.value;
    put.lease = txn.lease;
  } else {
    rpc::DeleteRangeRequest& erase = op.requestDeleteRange.emplace();
    erase.key = key;
    erase.prevKv = true;
  }
  return codec::toProto(request);
}

Result<TxnResult> decodeEtcdTxn(std::string_view answer, const Txn& txn, const EtcdKeys& keys) {
  KM_ASSIGN(auto response, codec::fromProto<rpc::TxnResponse>(answer));
  TxnResult out;
  out.succeeded = response.succeeded;
  out.revision = revisionOf(response.header);
  if (response.responses.empty()) return out;
  const rpc::ResponseOp& op = response.responses[0];
  if (!out.succeeded) {
    if (op.responseRange && !op.responseRange->kvs.empty()) out.kv = toKeyValue(op.responseRange->kvs[0], keys);
  } else if (txn.op == Txn::Op::kDelete) {
    if (op.responseDeleteRange && !op.responseDeleteRange->prevKvs.empty())
      out.kv = toKeyValue(op.responseDeleteRange->prevKvs[0], keys);
  } else {
    KeyValue& stored = out.kv.emplace();
    stored.key = txn.key;
    stored.value = txn.value;
    stored.modRevision = out.revision;
    stored.lease = txn.lease;
    if (txn.guard == Revision{0}) {
      stored.createRevision = out.revision;
      stored.version = 1;
    }
  }
  return out;
}

std::string encodeEtcdRange(const RangeRequest& request, const EtcdKeys& keys) {
  rpc::RangeRequest r;
  r.key = request.start.empty() ? std::string(kNul) : keys.toWire(request.start);
  r.rangeEnd = request.end.empty() ? std::string(kNul) : keys.toWire(request.end);
  r.limit = request.limit;
  r.revision = request.revision;
  r.keysOnly = request.keysOnly;
  r.countOnly = request.countOnly;
  return codec::toProto(r);
}

Result<RangeResult> decodeEtcdRange(std::string_view answer, const EtcdKeys& keys) {
  KM_ASSIGN(auto response, codec::fromProto<rpc::RangeResponse>(answer));
  RangeResult out;
  out.count = response.count;
  out.more = response.more;
  out.revision = revisionOf(response.header);
  out.kvs.reserve(response.kvs.size());
  for (const kv::KeyValue& one : response.kvs) out.kvs.push_back(toKeyValue(one, keys));
  return out;
}

std::string encodeEtcdWatch(std::string_view key, std::string_view end, Revision from, bool withPrev) {
  rpc::WatchRequest request;
  rpc::WatchCreateRequest& create = request.createRequest.emplace();
  create.key = key;
  create.rangeEnd = end;
  create.startRevision = from;
  create.progressNotify = true;
  create.prevKv = withPrev;
  return codec::toProto(request);
}

std::string encodeEtcdProgressRequest() {
  rpc::WatchRequest request;
  request.progressRequest.emplace();
  return codec::toProto(request);
}

Result<EtcdWatchAnswer> decodeEtcdWatch(std::string_view answer, const EtcdKeys& keys) {
  KM_ASSIGN(auto response, codec::fromProto<rpc::WatchResponse>(answer));
  EtcdWatchAnswer out;
  out.created = response.created;
  out.cancelled = response.canceled;
  out.compactRevision = response.compactRevision;
  out.cancelReason = response.cancelReason.str();
  out.revision = revisionOf(response.header);
  out.events.reserve(response.events.size());
  for (const kv::Event& e : response.events) {
    if (!e.kv) continue;
    auto event = std::make_shared<Event>();
    event->type = e.type == kv::EventType::kDELETE ? EventType::kDelete : EventType::kPut;
    event->kv = toKeyValue(*e.kv, keys);
    if (event->type == EventType::kDelete) event->kv.value = nullptr;
    if (e.prevKv) event->prev = toKeyValue(*e.prevKv, keys);
    out.events.push_back(std::move(event));
  }
  return out;
}

Status etcdStatus(const http::GrpcStatus& status) {
  if (status.ok()) return {};
  const std::string& why = status.message;
  if (why.find("required revision has been compacted") != std::string::npos) return compactedError();
  if (why.find("required revision is a future revision") != std::string::npos) return futureRevisionError();
  if (why.find("requested lease not found") != std::string::npos) return leaseNotFoundError();
  if (status.code == http::GrpcCode::kDeadlineExceeded) {
    return errors::timeout("request did not complete within requested timeout - context deadline exceeded", 0);
  }
  // etcd's own errors are told by their words, others as gRPC puts them.
  return Status(500, "", why.starts_with("etcdserver: ") ? why : status.str());
}

}  // namespace km::store
