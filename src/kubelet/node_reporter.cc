#include "kubelet/node_reporter.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/coordination_v1.h"
#include "base/log.h"
#include "base/rand.h"

namespace km::kubelet {
namespace {

using api::coordination_v1::Lease;
using api::core_v1::Node;

// The Lease is renewed four times within its life.
Duration turnOf(const Options& o) { return std::min<Duration>(o.statusUpdate, std::chrono::seconds(o.leaseSeconds) / 4); }

constexpr auto kFirstRetry = std::chrono::milliseconds(200);

}  // namespace

NodeReporter::NodeReporter(const Options& options, const Machine& machine, client::Client& client, cri::Runtime& runtime, ElasticPool& pool,
                           client::Timers& timers, client::EventRecorder recorder, std::function<int()> port)
    : options_(options), machine_(machine), client_(client), runtime_(runtime), pool_(pool), timers_(timers), recorder_(std::move(recorder)), port_(std::move(port)) {}

NodeReporter::~NodeReporter() { stop(); }

void NodeReporter::start() {
  event("Starting", "Starting kubelet.");
  arm(Duration(0));
}

void NodeReporter::event(std::string_view reason, std::string_view message) {
  api::core_v1::ObjectReference ref;
  ref.kind = "Node";
  ref.name = options_.nodeName;
  ref.uid = options_.nodeName;  // as upstream: it is told before the node is known
  recorder_.event(ref, client::kEventNormal, reason, message);
}

void NodeReporter::tellTransitions(const api::core_v1::NodeStatus& before, const api::core_v1::NodeStatus& now) {
  struct Words {
    std::string_view type, ifTrue, ifFalse;
  };
  constexpr Words kWords[] = {{"MemoryPressure", "NodeHasInsufficientMemory", "NodeHasSufficientMemory"},
                              {"DiskPressure", "NodeHasDiskPressure", "NodeHasNoDiskPressure"},
                              {"PIDPressure", "NodeHasInsufficientPID", "NodeHasSufficientPID"},
                              {"Ready", "NodeReady", "NodeNotReady"}};
  auto find = [](const api::core_v1::NodeStatus& s, std::string_view type) -> std::string_view {
    for (const auto& c : s.conditions) {
      if (c.type == type) return c.status;
    }
    return "";
  };
  for (const Words& w : kWords) {
    std::string_view was = find(before, w.type), is = find(now, w.type);
    if (was == is) continue;
    std::string_view reason = is == "True" ? w.ifTrue : w.ifFalse;
    event(reason, fmt::format("Node {} status is now: {}", options_.nodeName, reason));
  }
}

void NodeReporter::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  if (timer_) timers_.cancel(timer_);
}

void NodeReporter::arm(Duration delay) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  timer_ = timers_.after(delay, [this] { pool_.post([this] { turn(); }); });
}

void NodeReporter::turn() {
  // Who was not heard for long may have been given up meanwhile: the node's own memory of its status does not count then.
  Duration now = timers_.clock().monotonic();
  if (node_ && (failures_ > 0 || now - heardAt_ > 2 * turnOf(options_))) {
    auto have = client_.get(client::target(Node::kType, "", options_.nodeName));
    if (have.ok() || have.status().code() == 404) node_ = have.ok() ? *have : nullptr;
  }
  Status s = node_ ? Status() : registerNode();
  if (s.ok()) {
    // The lease says that the node lives, whatever becomes of its status.
    s = report();
    if (Status lease = node_ ? renewLease() : Status(); s.ok()) s = std::move(lease);
  }
  if (s.ok()) {
    failures_ = 0;
    heardAt_ = now;
    return arm(turnOf(options_));
  }
  if (failures_ == 0) KM_LOG(WARNING, "cannot report the node: {}", s.message());
  failures_++;
  arm(std::min<Duration>(kFirstRetry * (1 << std::min(failures_, 6)), std::chrono::seconds(7)));
}

Status NodeReporter::registerNode() {
  client::Target t = client::target(Node::kType, "", options_.nodeName);
  auto have = client_.get(t);
  if (have.ok()) {
    // Labels that are ours are brought up to date.
    Node wanted = newNode(options_, machine_);
    Node node = (*have)->as<Node>();
    bool changed = false;
    for (const auto& [key, value] : wanted.metadata.labels) {
      if (node.metadata.labels.get(key) == value) continue;
      node.metadata.labels[key] = value;
      changed = true;
    }
    node_ = *have;
    if (!changed) return {};
    KM_ASSIGN(node_, client_.update(t, api::Object::of(std::move(node))));
    return {};
  }
  if (have.status().code() != 404 || !options_.registerNode) return have.status();
  Node node = newNode(options_, machine_);
  node.status = nodeStatus(options_, machine_, look(), {}, timers_.clock().now());
  tellTransitions({}, node.status);
  t.name.clear();
  KM_ASSIGN(node_, client_.create(t, api::Object::of(std::move(node))));
  logInfo("Successfully registered node", {{"node", options_.nodeName}});
  return {};
}

NodeFacts NodeReporter::look() {
  NodeFacts f;
  f.port = port_();
  auto version = runtime_.version();
  if (version.ok()) f.runtimeVersion = fmt::format("{}://{}", version->runtimeName.view(), version->runtimeVersion.view());
  auto status = runtime_.status();
  if (!status.ok()) {
    f.notReady = "container runtime is down: " + status.status().message();
  } else if (status->status) {
    for (const auto& c : status->status->conditions) {
      if (c.type == "RuntimeReady") f.runtimeReady = c.status;
      if (c.type == "NetworkReady") f.networkReady = c.status;
      if (c.status || (c.type != "RuntimeReady" && c.type != "NetworkReady")) continue;
      if (!f.notReady.empty()) f.notReady += ", ";
      f.notReady += c.type == "NetworkReady" ? fmt::format("container runtime network not ready: {}={} reason:{} message:{}", c.type.view(), c.status, c.reason.view(), c.message.view())
                                             : fmt::format("container runtime not ready: {}={} reason:{} message:{}", c.type.view(), c.status, c.reason.view(), c.message.view());
    }
  }
  if (auto images = runtime_.listImages(); images.ok()) {
    std::stable_sort(images->begin(), images->end(), [](const auto& a, const auto& b) { return a.size > b.size; });
    images_.clear();
    for (const auto& i : *images) {
      if (options_.maxImages >= 0 && images_.size() == static_cast<size_t>(options_.maxImages)) break;
      api::core_v1::ContainerImage out;
      for (const auto& d : i.repoDigests) out.names.push_back(d);
      for (const auto& n : i.repoTags) out.names.push_back(n);
      out.sizeBytes = static_cast<int64_t>(i.size);
      images_.push_back(std::move(out));
    }
  }
  f.images = images_;
  return f;
}

Status NodeReporter::report() {
  Duration now = timers_.clock().monotonic();
  NodeFacts facts = look();
  const Node& before = node_->as<Node>();
  auto status = nodeStatus(options_, machine_, facts, before.status, timers_.clock().now());
  if (!nodeStatusChanged(before.status, status) && reportedAt_ != Duration(0) && now - reportedAt_ < options_.statusReport) return {};
  tellTransitions(before.status, status);
  // A patch of what differs: what others write at the same time, taints above all, is neither overwritten nor in the way.
  auto r = client_.patch(client::target(Node::kType, "", options_.nodeName, "status"), client::PatchType::kStrategicMerge,
                         nodeStatusPatch(before.status, status));
  if (r.status().code() == 404) node_ = nullptr;  // to be registered again
  KM_TRY(r.status());
  node_ = *r;
  reportedAt_ = now;
  return {};
}

Status NodeReporter::renewLease() {
  client::Target t = client::target(Lease::kType, "kube-node-lease", options_.nodeName);
  for (int attempt = 0; attempt < 3; attempt++) {
    if (!lease_) {
      auto have = client_.get(t);
      if (have.ok()) lease_ = *have;
      if (!have.ok() && have.status().code() != 404) return have.status();
    }
    bool fresh = !lease_;
    Lease lease = fresh ? Lease() : lease_->as<Lease>();
    lease.spec.renewTime = codec::MicroTime(timers_.clock().now());
    lease.spec.holderIdentity = codec::String(options_.nodeName);
    lease.spec.leaseDurationSeconds = options_.leaseSeconds;
    if (lease.metadata.ownerReferences.empty()) {
      auto& owner = lease.metadata.ownerReferences.add();
      owner.apiVersion = "v1";
      owner.kind = "Node";
      owner.name = options_.nodeName;
      owner.uid = node_->meta().uid;
    }
    client::Target at = t;
    if (fresh) {
      lease.metadata.name = options_.nodeName;
      lease.metadata.namespace_ = "kube-node-lease";
      at.name.clear();
    }
    auto r = fresh ? client_.create(at, api::Object::of(std::move(lease))) : client_.update(at, api::Object::of(std::move(lease)));
    if (r.ok()) {
      lease_ = *r;
      return {};
    }
    lease_ = nullptr;
    if (r.status().code() != 409 && r.status().code() != 404) return r.status();
  }
  return errors::failed("cannot renew the node's lease");
}

}  // namespace km::kubelet
