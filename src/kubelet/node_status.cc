#include "kubelet/node_status.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/strings.h"
#include "codec/json.h"
#include "codec/ops.h"
#include "codec/value.h"

namespace km::kubelet {
namespace {

using namespace api::core_v1;
using codec::Quantity;

std::string line(const std::string& path) {
  auto text = readFile(path);
  return text.ok() ? std::string(trimSpace(*text)) : "";
}

std::string osRelease() {
  auto text = readFile("/etc/os-release");
  if (!text.ok()) return "Linux";
  for (std::string_view l : split(*text, '\n')) {
    if (!l.starts_with("PRETTY_NAME=")) continue;
    l.remove_prefix(12);
    if (l.size() >= 2 && l.front() == '"') l = l.substr(1, l.size() - 2);
    return std::string(l);
  }
  return "Linux";
}

int64_t memoryTotal() {
  auto text = readFile("/proc/meminfo");
  if (!text.ok()) return 0;
  for (std::string_view l : split(*text, '\n')) {
    if (!l.starts_with("MemTotal:")) continue;
    l = trimSpace(l.substr(9));
    return parseInt64(l.substr(0, l.find(' '))).value_or(0) * 1024;
  }
  return 0;
}

void setCondition(NodeStatus& out, WallTime now, std::string_view type, bool status, std::string_view reason, std::string_view message) {
  NodeCondition* c = nullptr;
  for (auto& existing : out.conditions) {
    if (existing.type == type) c = &existing;
  }
  std::string_view value = status ? "True" : "False";
  if (!c) {
    c = &out.conditions.add();
    c->type = type;
  }
  if (c->status != value) c->lastTransitionTime = codec::Time(now.seconds);
  c->status = value;
  c->reason = reason;
  c->message = message;
  c->lastHeartbeatTime = codec::Time(now.seconds);
}

}  // namespace

Machine readMachine(const Options& options) {
  Machine m;
  if (options.hollow) {
    m.cpus = options.hollow->cpus;
    m.memory = options.hollow->memory;
    m.storage = options.hollow->storage;
    m.machineId = m.systemUuid = m.bootId = m.hostname = options.nodeName;
    m.kernel = m.osImage = "hollow";
    return m;
  }
  m.cpus = static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  m.memory = memoryTotal();
  struct statvfs fs{};
  if (::statvfs(options.rootDir.c_str(), &fs) == 0) m.storage = static_cast<int64_t>(fs.f_blocks) * static_cast<int64_t>(fs.f_frsize);
  m.pidMax = parseInt64(line("/proc/sys/kernel/pid_max")).value_or(32768);
  m.machineId = line("/etc/machine-id");
  m.systemUuid = toLower(line("/sys/class/dmi/id/product_uuid"));
  if (m.systemUuid.empty()) m.systemUuid = m.machineId;
  m.bootId = line("/proc/sys/kernel/random/boot_id");
  m.osImage = osRelease();
  utsname u{};
  if (::uname(&u) == 0) {
    m.kernel = u.release;
    m.hostname = toLower(u.nodename);
    std::string_view machine = u.machine;
    m.arch = machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : std::string(machine);
  }
  return m;
}

Node newNode(const Options& options, const Machine& machine) {
  Node n;
  n.metadata.name = options.nodeName;
  auto& labels = n.metadata.labels;
  labels["kubernetes.io/hostname"] = options.nodeName;
  labels["kubernetes.io/os"] = "linux";
  labels["kubernetes.io/arch"] = machine.arch;
  labels["beta.kubernetes.io/os"] = "linux";
  labels["beta.kubernetes.io/arch"] = machine.arch;
  for (const auto& [key, value] : options.nodeLabels) labels[key] = value;
  for (const auto& taint : options.nodeTaints) n.spec.taints.push_back(taint);
  n.spec.providerID = options.providerId;
  n.metadata.annotations["volumes.kubernetes.io/controller-managed-attach-detach"] = "true";
  return n;
}

NodeStatus nodeStatus(const Options& options, const Machine& machine, const NodeFacts& facts, const NodeStatus& before, WallTime now) {
  NodeStatus out = before;
  out.capacity["cpu"] = Quantity(machine.cpus, Quantity::Format::kDecimalSI);
  out.capacity["memory"] = Quantity(machine.memory, Quantity::Format::kBinarySI);
  out.capacity["pods"] = Quantity(options.maxPods, Quantity::Format::kDecimalSI);
  out.capacity["ephemeral-storage"] = Quantity(machine.storage, Quantity::Format::kBinarySI);
  out.capacity["hugepages-1Gi"] = Quantity(0, Quantity::Format::kDecimalSI);
  out.capacity["hugepages-2Mi"] = Quantity(0, Quantity::Format::kDecimalSI);
  // Nothing is reserved; extended resources stay as others set them.
  for (const auto& [name, q] : out.capacity) out.allocatable[name] = q;

  out.addresses.clear();
  if (!options.nodeIp.empty()) {
    auto& ip = out.addresses.add();
    ip.type = "InternalIP";
    ip.address = options.nodeIp;
  }
  auto& host = out.addresses.add();
  host.type = "Hostname";
  host.address = options.nodeName;
  out.daemonEndpoints.kubeletEndpoint.Port = facts.port;

  auto& info = out.nodeInfo;
  info.machineID = machine.machineId;
  info.systemUUID = machine.systemUuid;
  info.bootID = machine.bootId;
  info.kernelVersion = machine.kernel;
  info.osImage = machine.osImage;
  info.containerRuntimeVersion = facts.runtimeVersion;
  info.kubeletVersion = options.version;
  info.operatingSystem = "linux";
  info.architecture = machine.arch;

  out.images.clear();
  for (const auto& image : facts.images) out.images.push_back(image);

  setCondition(out, now, "MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available");
  setCondition(out, now, "DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure");
  setCondition(out, now, "PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available");
  bool ready = facts.runtimeReady && facts.networkReady;
  setCondition(out, now, "Ready", ready, ready ? "KubeletReady" : "KubeletNotReady", ready ? "kubelet is posting ready status" : facts.notReady);
  return out;
}

bool nodeStatusChanged(const NodeStatus& before, const NodeStatus& now) {
  NodeStatus a = before, b = now;
  for (NodeStatus* s : {&a, &b}) {
    for (auto& c : s->conditions) c.lastHeartbeatTime = codec::Time();
  }
  return !codec::equal(&a, &b, NodeStatus::kType);
}

std::string nodeStatusPatch(const NodeStatus& before, const NodeStatus& now) {
  codec::Value was = *codec::Value::parse(codec::toJson(before)), is = *codec::Value::parse(codec::toJson(now)), patch = codec::Value::object();
  for (codec::Value::Member& m : is.members()) {
    const codec::Value* old = was.find(m.key.view());
    if (old != nullptr && *old == m.value) continue;
    codec::Value& out = patch[m.key.view()];
    if (m.key == "conditions") {
      // Merged by their type: those of others are left alone.
      for (codec::Value& c : m.value.items()) {
        bool same = false;
        if (old != nullptr) same = std::any_of(old->items().begin(), old->items().end(), [&](const codec::Value& o) { return o == c; });
        if (!same) out.push(std::move(c));
      }
      continue;
    }
    out = std::move(m.value);
    if (m.key == "addresses") {
      codec::Value replace;
      replace["$patch"] = codec::Value::string("replace");
      out.push(std::move(replace));
    }
  }
  for (const codec::Value::Member& m : was.members()) {
    if (is.find(m.key.view()) == nullptr) patch[m.key.view()] = codec::Value();
  }
  codec::Value body;
  body["status"] = std::move(patch);
  return body.json();
}

}  // namespace km::kubelet
