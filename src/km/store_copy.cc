// `km store copy`: everything of one store into another, each the embedded one of a data directory or an etcd.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/flags.h"
#include "base/strings.h"
#include "km/commands.h"
#include "km/data_lock.h"
#include "store/embedded.h"
#include "store/etcd.h"

namespace km {
namespace {

using store::Store;

constexpr std::string_view kRoot = "/registry/";
constexpr std::string_view kServers = "/registry/masterleases/";  // who serves now: of no use elsewhere
constexpr std::string_view kFiller = "/registry/km-store-copy";
constexpr int64_t kPage = 500;
constexpr int kWindow = 64;             // writes under way
constexpr int64_t kLeaseSeconds = 3600;  // of keys that had one: upstream's --event-ttl

struct CopyFlags {
  std::string from, to;
  store::EtcdOptions etcd;
  bool force = false, raiseRevision = true;
};

// One end, open.
struct End {
  UniqueFd lock;
  std::unique_ptr<Store> store;
};

Result<End> open(const std::string& where, const store::EtcdOptions& etcd, bool mustExist) {
  End e;
  if (where.find("://") != std::string::npos) {
    store::EtcdOptions o = etcd;
    for (std::string_view url : split(where, ',')) o.endpoints.emplace_back(url);
    KM_ASSIGN(e.store, store::openEtcd(o));
    return e;
  }
  std::string directory = where + "/store";
  if (mustExist && ::access(directory.c_str(), F_OK) != 0)
    return errors::failed(fmt::format("there is no store in {}", where));
  KM_ASSIGN(e.lock, lockData(where));
  KM_ASSIGN(e.store, store::openEmbedded({.directory = directory}));
  return e;
}

// Writes with a number of them under way. Not for several threads.
class Writer {
 public:
  explicit Writer(Store& store) : store_(store) {}
  ~Writer() { (void)wait(); }

  Status write(store::Txn txn) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return running_ < kWindow; });
      KM_TRY(first_);
      ++running_;
    }
    std::string key = txn.key;
    store_.commit(std::move(txn), [this, key](Result<store::TxnResult> r) {
      std::lock_guard lock(mutex_);
      --running_;
      if (r.ok()) revision_ = std::max(revision_, r->revision);
      Status s = r.status();
      if (r.ok() && !r->succeeded) s = errors::failed(fmt::format("somebody else writes {} in the target", key));
      if (!s.ok() && first_.ok()) first_ = s;
      changed_.notify_all();
    });
    return {};
  }
  Status wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ == 0; });
    return first_;
  }
  store::Revision revision() {
    std::lock_guard lock(mutex_);
    return revision_;
  }

 private:
  Store& store_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int running_ = 0;
  store::Revision revision_ = 0;
  Status first_;
};

// Reads page by page, so that the memory holds one page; all of one revision.
Status forEach(Store& store, store::Revision revision, bool keysOnly,
               const std::function<Status(store::KeyValue& kv)>& each) {
  store::RangeRequest page = store::RangeRequest::prefix(kRoot);
  page.limit = kPage;
  page.keysOnly = keysOnly;
  page.revision = revision;
  while (true) {
    KM_ASSIGN(store::RangeResult got, store.range(page));
    bool more = got.more && !got.kvs.empty();
    if (more) page.start = got.kvs.back().key + '\0';
    for (store::KeyValue& kv : got.kvs) KM_TRY(each(kv));
    if (!more) return {};
  }
}

Result<int64_t> count(Store& store) {
  store::RangeRequest all = store::RangeRequest::prefix(kRoot);
  all.countOnly = true;
  KM_ASSIGN(store::RangeResult got, store.range(all));
  return got.count;
}

Status empty(Store& to) {
  KM_ASSIGN(store::Revision now, to.currentRevision());
  Writer writer(to);
  KM_TRY(forEach(to, now, true, [&](store::KeyValue& kv) { return writer.write(store::Txn::eraseAny(kv.key)); }));
  return writer.wait();
}

// Whoever has seen versions of the source is to find higher ones: so the target's revision goes beyond.
Status raise(Store& to, store::Revision beyond) {
  KM_ASSIGN(store::Revision now, to.currentRevision());
  if (now >= beyond) return {};
  Writer writer(to);
  auto value = std::make_shared<const std::string>("");
  for (store::Revision r = now; r < beyond; ++r) KM_TRY(writer.write(store::Txn::put(std::string(kFiller), value)));
  KM_TRY(writer.wait());
  KM_TRY(store::commitAndWait(to, store::Txn::eraseAny(std::string(kFiller))).status());
  return store::compactAndWait(to, writer.revision());
}

// In the order in which the objects were last written, as far as writes under way at once keep it.
Result<int64_t> copyAll(Store& from, store::Revision at, Store& to) {
  std::vector<std::pair<store::Revision, std::string>> keys;
  KM_TRY(forEach(from, at, true, [&](store::KeyValue& kv) -> Status {
    if (!kv.key.starts_with(kServers)) keys.emplace_back(kv.modRevision, std::move(kv.key));
    return {};
  }));
  std::sort(keys.begin(), keys.end());
  Writer writer(to);
  store::LeaseId lease = 0;
  for (const auto& [revision, key] : keys) {
    store::RangeRequest one{.start = key, .end = key + '\0', .revision = at};
    KM_ASSIGN(store::RangeResult got, from.range(one));
    if (got.kvs.empty()) return errors::failed(fmt::format("{} is gone from the source", key));
    store::KeyValue& kv = got.kvs[0];
    if (kv.lease != 0 && lease == 0) {
      KM_ASSIGN(lease, store::leaseGrantAndWait(to, kLeaseSeconds));
    }
    KM_TRY(writer.write(store::Txn::create(key, kv.value, kv.lease != 0 ? lease : 0)));
  }
  KM_TRY(writer.wait());
  return static_cast<int64_t>(keys.size());
}

Status copy(const CopyFlags& f, std::string& said) {
  if (f.from.empty() || f.to.empty()) return errors::badRequest("--from and --to are required");
  KM_ASSIGN(End from, open(f.from, f.etcd, true));
  KM_ASSIGN(End to, open(f.to, f.etcd, false));
  KM_ASSIGN(int64_t there, count(*to.store));
  if (there > 0 && !f.force) {
    return errors::failed(
        fmt::format("the target holds {} keys; --force removes them first", there));
  }
  KM_ASSIGN(store::Revision at, from.store->currentRevision());
  if (there > 0) KM_TRY(empty(*to.store));
  if (f.raiseRevision) KM_TRY(raise(*to.store, at));
  KM_ASSIGN(int64_t copied, copyAll(*from.store, at, *to.store));
  KM_ASSIGN(int64_t now, count(*to.store));
  if (now != copied) {
    return errors::failed(fmt::format("{} keys were copied, but the target holds {}: does somebody else write there?",
                                      copied, now));
  }
  KM_ASSIGN(store::Revision reached, to.store->currentRevision());
  said = fmt::format("{} keys copied. The source stands at revision {}, the target at {}: every object has a new "
                     "resourceVersion{}.\n",
                     copied, at, reached, f.raiseRevision ? ", higher than any before" : "");
  return {};
}

}  // namespace

int runStore(ServerCall& call) {
  CopyFlags f;
  FlagSet flags(std::string(call.server->name));
  flags.add(&f.from, "from", "The `store` to copy: a data directory whose km is stopped, or etcd's URLs, comma separated.");
  flags.add(&f.to, "to", "The `store` to copy to: a data directory whose km is stopped, or etcd's URLs, comma separated.");
  flags.add(&f.force, "force", "Remove what the target holds before.");
  flags.add(&f.raiseRevision, "raise-revision", "Raise the target's revision beyond the source's before objects are written, so that clients which know older resourceVersions list again. An etcd takes a write for each revision.");
  flags.add(&f.etcd.caFile, "etcd-cafile", "SSL Certificate Authority `file` used to secure etcd communication.");
  flags.add(&f.etcd.certificateFile, "etcd-certfile", "SSL certification `file` used to secure etcd communication.");
  flags.add(&f.etcd.keyFile, "etcd-keyfile", "SSL key `file` used to secure etcd communication.");
  flags.add(&f.etcd.prefix, "etcd-prefix", "The `prefix` to prepend to all resource paths in etcd.");
  if (auto done = parseServerFlags(call, flags)) return *done;
  if (flags.args().size() != 1 || flags.args()[0] != "copy") {
    return finish(call, errors::badRequest("store takes one argument: copy"));
  }
  std::string said;
  Status s = copy(f, said);
  if (s.ok()) call.answer(said);
  return finish(call, s);
}

}  // namespace km
