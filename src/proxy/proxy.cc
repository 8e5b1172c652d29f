#include "proxy/proxy.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

#include "api/types/core_v1.h"
#include "api/types/discovery_v1.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "proxy/nft.h"
#include "proxy/rules.h"

namespace km::proxy {

using api::core_v1::Service;
using api::discovery_v1::EndpointSlice;

struct Proxy::Core : std::enable_shared_from_this<Core> {
  Core(Options given, client::InformerFactory& informers, client::WorkerPool& pool, client::Timers& t)
      : options(std::move(given)), services(informers.of<Service>()), slices(informers.of<EndpointSlice>()), timers(t),
        lane(pool) {}

  Options options;
  RuleOptions rules;
  client::SharedInformer& services;
  client::SharedInformer& slices;
  client::Timers& timers;
  client::Lane lane;
  std::unique_ptr<client::Registration> onServices, onSlices;
  std::atomic<int64_t> syncs{0};

  std::mutex mutex;
  bool stopped = true;     // guarded, as what follows
  bool scheduled = false;  // a timer or a task is on its way to sync()
  client::Timers::Id timer = 0;
  Duration lastStart = Duration(-1);
  Duration retryAfter{0};

  std::optional<Table> v4, v6;  // what the kernel has; on the lane only

  Duration now() const { return timers.clock().monotonic(); }

  void changed() {
    std::lock_guard lock(mutex);
    if (stopped || scheduled || !services.hasSynced() || !slices.hasSynced()) return;
    scheduled = true;
    Duration period = std::max(options.minSyncPeriod, retryAfter);
    Duration wait = lastStart < Duration(0) ? Duration(0) : lastStart + period - now();
    std::weak_ptr<Core> weak = weak_from_this();
    auto post = [weak] {
      if (auto self = weak.lock()) self->lane.post([weak] {
        if (auto self = weak.lock()) self->sync();
      });
    };
    if (wait <= Duration(0)) {
      post();
    } else {
      timer = timers.after(wait, post);
    }
  }

  void sync() {
    {
      std::lock_guard lock(mutex);
      if (stopped) return;
      scheduled = false;  // a change from here on leads to another sync
      lastStart = now();
    }
    Snapshot snapshot{client::Lister<Service>(services).list(), client::Lister<EndpointSlice>(slices).list()};
    Status four = apply("ip", makeTable(snapshot, rules, Family::kIpv4), v4);
    Table six = makeTable(snapshot, rules, Family::kIpv6);
    Status sixth;
    if (v6 || !six.chains.empty()) sixth = apply("ip6", std::move(six), v6);  // untouched where nobody uses IPv6
    if (four.ok() && sixth.ok()) {
      std::lock_guard lock(mutex);
      retryAfter = Duration(0);
      ++syncs;
      return;
    }
    {
      std::lock_guard lock(mutex);
      retryAfter = std::clamp<Duration>(retryAfter * 2, std::chrono::seconds(1), std::chrono::seconds(30));
    }
    logError(four.ok() ? sixth : four, "The node's service rules could not be written; trying again");
    changed();
  }

  Status apply(const std::string& family, Table wanted, std::optional<Table>& have) {
    std::string commands = difference(family + " " + options.tableName, have ? &*have : nullptr, wanted);
    if (commands.empty()) return {};
    KM_VLOG(5, "nftables: {}", commands);
    Status done = runNft(commands);
    have.reset();  // after a failure nothing is known
    if (done.ok()) have = std::move(wanted);
    return done;
  }
};

namespace {

Status writeSysctl(const std::string& path, std::string_view value) {
  if (auto now = readFile(path); now.ok() && trimSpace(*now) == value) return {};
  KM_ASSIGN(UniqueFd fd, openFile(path, 1 /* O_WRONLY */));
  return writeAll(fd.get(), value);
}

// The pods of one bridge answer each other as bridged packets: translation has to see these too.
bool seesBridgedPackets() {
  return writeSysctl("/proc/sys/net/bridge/bridge-nf-call-iptables", "1").ok();
}

}  // namespace

Proxy::Proxy(Options options, client::InformerFactory& informers, client::WorkerPool& pool, client::Timers& timers)
    : core_(std::make_shared<Core>(std::move(options), informers, pool, timers)) {}

Proxy::~Proxy() { stop(); }

Status Proxy::start() {
  KM_TRY(writeSysctl("/proc/sys/net/ipv4/ip_forward", "1"));
  RuleOptions& rules = core_->rules;
  rules.nodeName = core_->options.nodeName;
  rules.nodeIps = core_->options.nodeIps;
  for (std::string_view part : split(core_->options.clusterCidr, ',')) {
    if (!trimSpace(part).empty()) rules.clusterCidrs.emplace_back(trimSpace(part));
  }
  rules.masqueradeAll = core_->options.masqueradeAll;
  rules.masqueradePods = core_->options.masqueradePods;
  rules.masqueradeLocal = !seesBridgedPackets();
  if (rules.masqueradeLocal) logInfo("Bridged packets do not pass nftables: pods see each other's services masqueraded");
  {
    std::lock_guard lock(core_->mutex);
    core_->stopped = false;
  }
  std::weak_ptr<Core> weak = core_;
  auto changed = [weak] {
    if (auto self = weak.lock()) self->changed();
  };
  client::Handler handler{[changed](const client::ObjectPtr&, bool) { changed(); },
                          [changed](const client::ObjectPtr& a, const client::ObjectPtr& b) {
                            if (a->resourceVersion() != b->resourceVersion()) changed();
                          },
                          [changed](const client::ObjectPtr&, bool) { changed(); }};
  core_->onServices = core_->services.addHandler(handler);
  core_->onSlices = core_->slices.addHandler(handler);
  core_->services.whenSynced(changed);
  core_->slices.whenSynced(changed);
  return {};
}

void Proxy::stop() {
  {
    std::lock_guard lock(core_->mutex);
    core_->stopped = true;
    if (core_->timer != 0) core_->timers.cancel(core_->timer);
  }
  core_->onServices.reset();
  core_->onSlices.reset();
  core_->lane.close();
}

int64_t Proxy::syncs() const { return core_->syncs.load(); }

Status Proxy::cleanup(const std::string& tableName) {
  std::string commands;
  for (const char* family : {"ip ", "ip6 "}) {
    commands += "add table " + (family + tableName) + "\ndelete table " + (family + tableName) + "\n";
  }
  return runNft(commands);
}

}  // namespace km::proxy
