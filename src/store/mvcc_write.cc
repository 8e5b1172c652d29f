#include "store/mvcc_batch.h"
#include "store/row_format.h"

namespace km::store {

void MvccStore::prepare(Commit& command, Batch& batch) {
  ++batch.transactions;
  auto answer = [done = std::move(command.done),
                 result = apply(command.txn, batch)](const Status& failure) mutable {
    if (!done) return;
    if (failure.ok()) {
      done(std::move(result));
    } else {
      done(failure);
    }
  };
  batch.completions.emplace_back(std::move(answer));
}

Result<TxnResult> MvccStore::apply(Txn& txn, Batch& batch) {
  KM_ASSIGN(std::optional<KeyValue> old, current(txn.key, batch));
  TxnResult result;
  if (txn.guard && *txn.guard != (old ? old->modRevision : 0)) {
    result.revision = batch.next - 1;
    result.kv = std::move(old);
    return result;
  }
  result.succeeded = true;
  if (txn.op == Txn::Op::kDelete && !old) {
    result.revision = batch.next - 1;
    return result;
  }
  if (txn.op == Txn::Op::kPut && txn.lease != 0 && !leases_.has(txn.lease)) return leaseNotFoundError();

  auto event = std::make_shared<Event>();
  event->kv.modRevision = result.revision = batch.next;
  event->kv.key = std::move(txn.key);
  event->attachment = std::move(txn.attachment);
  if (txn.op == Txn::Op::kPut) {
    event->kv.value = txn.value ? std::move(txn.value) : std::make_shared<const std::string>();
    event->kv.createRevision = old ? old->createRevision : batch.next;
    event->kv.version = old ? old->version + 1 : 1;
    event->kv.lease = txn.lease;
    result.kv = event->kv;
  } else {
    event->type = EventType::kDelete;
    result.kv = old;
  }
  event->prev = std::move(old);
  record(std::move(event), batch);
  return result;
}

// What the key holds at this point of the batch.
Result<std::optional<KeyValue>> MvccStore::current(const std::string& key, const Batch& batch) {
  if (auto it = batch.written.find(key); it != batch.written.end()) {
    const Event& last = *it->second;
    return last.type == EventType::kPut ? std::optional(last.kv) : std::nullopt;
  }
  Revision revision = index_.find(key, revision_);
  if (revision == 0) return std::optional<KeyValue>();
  if (const EventPtr* recent = window_.find(revision)) return std::optional((*recent)->kv);
  KM_ASSIGN(std::optional<KeyValue> kv, readRow(revision));
  if (!kv) return rows_->damaged("revision " + std::to_string(revision) + " is missing");
  return kv;
}

void MvccStore::record(std::shared_ptr<Event> event, Batch& batch) {
  const KeyValue& kv = event->kv;
  bool put = event->type == EventType::kPut;
  batch.mutations.push_back({revisionKey(kv.modRevision), put ? encodePut(kv) : encodeTombstone(kv.key)});
  LeaseId before = event->prev ? event->prev->lease : 0;
  if (before != kv.lease) {
    if (before != 0) leases_.detach(before, kv.key);
    if (kv.lease != 0) leases_.attach(kv.lease, kv.key);
  }
  batch.written[kv.key] = event.get();
  ++batch.next;
  batch.events.push_back(std::move(event));
}

void MvccStore::prepare(Compact& command, Batch& batch) {
  Status refused;
  if (command.revision <= std::max(compacted_.load(), batch.compacted)) {
    refused = compactedError();
  } else if (command.revision >= batch.next) {
    refused = futureRevisionError();
  } else {
    batch.compacted = command.revision;
    batch.mutations.push_back({std::string(kCompactedKey), encodeNumber(command.revision)});
  }
  batch.completions.emplace_back([done = std::move(command.done), refused](const Status& failure) {
    if (done) done(failure.ok() ? refused : failure);
  });
}

void MvccStore::prepare(Grant& command, Batch& batch) {
  LeaseId lease = 0;
  while (lease <= 0 || leases_.has(lease)) lease = static_cast<LeaseId>(random_() >> 1);
  int64_t ttl = std::max<int64_t>(command.ttlSeconds, 1);
  leases_.add(lease, clock_.monotonic() + std::chrono::seconds(ttl));
  leaseCount_ = static_cast<int64_t>(leases_.size());
  batch.mutations.push_back({leaseKey(lease), encodeLease({ttl, clock_.now().seconds + ttl})});
  batch.completions.emplace_back([done = std::move(command.done), lease](const Status& failure) {
    if (!done) return;
    if (failure.ok()) {
      done(lease);
    } else {
      done(failure);
    }
  });
}

void MvccStore::prepare(Revoke& command, Batch& batch) {
  Status refused;
  if (leases_.has(command.lease)) {
    endLease(command.lease, batch);
  } else {
    refused = leaseNotFoundError();
  }
  batch.completions.emplace_back([done = std::move(command.done), refused](const Status& failure) {
    if (done) done(failure.ok() ? refused : failure);
  });
}

void MvccStore::endLease(LeaseId lease, Batch& batch) {
  for (std::string& key : leases_.take(lease)) {
    Txn txn = Txn::eraseAny(std::move(key));
    // A row that cannot be read stays, as it would for a delete by a client.
    (void)apply(txn, batch);
  }
  leaseCount_ = static_cast<int64_t>(leases_.size());
  batch.mutations.push_back({leaseKey(lease), std::nullopt});
}

}  // namespace km::store
