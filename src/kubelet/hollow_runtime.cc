#include "kubelet/hollow_runtime.h"

#include <fmt/format.h>

namespace km::kubelet {

using namespace cri;

namespace {

Status noSuch(std::string_view what) { return {404, "NotFound", fmt::format("no such {}", what)}; }
Status hollow() { return {501, "Unimplemented", "a hollow node runs no processes"}; }

// What an image is called inside; the same for the same name.
std::string idOf(const std::string& image) { return fmt::format("sha256:{:064x}", std::hash<std::string>()(image)); }

}  // namespace

int64_t HollowRuntime::now() const {
  WallTime t = clock_.now();
  return t.seconds * 1'000'000'000 + t.nanos;
}

std::string HollowRuntime::newId() { return fmt::format("{:08x}{:056x}", node_, ++next_); }

std::string HollowRuntime::newAddress() {
  uint32_t n = (node_ << 7 | (nextAddress_++ & 127)) & 0x7FFFFF;
  return fmt::format("10.{}.{}.{}", 128 + (n >> 16), n >> 8 & 255, n & 255);
}

void HollowRuntime::tell(const std::string& id) {
  std::function<void(std::string)> f;
  {
    std::lock_guard lock(mutex_);
    f = onEvent_;
  }
  if (f) f(id);
}

Result<VersionResponse> HollowRuntime::version() {
  VersionResponse v;
  v.runtimeName = "hollow";
  v.runtimeVersion = "1";
  return v;
}

Result<StatusResponse> HollowRuntime::status() {
  StatusResponse s;
  for (const char* type : {"RuntimeReady", "NetworkReady"}) {
    auto& c = s.status.ensure().conditions.add();
    c.type = type;
    c.status = true;
  }
  return s;
}

Result<std::string> HollowRuntime::runPodSandbox(const PodSandboxConfig& config, const std::string&) {
  std::lock_guard lock(mutex_);
  std::string id = newId();
  PodSandboxStatus& s = boxes_[id].status;
  s.id = id;
  s.metadata = config.metadata;
  s.createdAt = now();
  s.labels = config.labels;
  s.network.ensure().ip = newAddress();
  return id;
}

Status HollowRuntime::stopPodSandbox(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto it = boxes_.find(id);
  if (it == boxes_.end()) return noSuch("sandbox");
  it->second.status.state = PodSandboxState::kSANDBOX_NOTREADY;
  return {};
}

Status HollowRuntime::removePodSandbox(const std::string& id) {
  std::lock_guard lock(mutex_);
  boxes_.erase(id);
  std::erase_if(runs_, [&](const auto& r) { return r.second.sandbox == id; });
  return {};
}

Result<PodSandboxStatus> HollowRuntime::podSandboxStatus(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto it = boxes_.find(id);
  if (it == boxes_.end()) return noSuch("sandbox");
  return it->second.status;
}

Result<std::vector<PodSandbox>> HollowRuntime::listPodSandbox() {
  std::lock_guard lock(mutex_);
  std::vector<PodSandbox> out;
  for (const auto& [id, b] : boxes_) {
    PodSandbox s;
    s.id = id;
    s.metadata = b.status.metadata;
    s.state = b.status.state;
    s.createdAt = b.status.createdAt;
    s.labels = b.status.labels;
    out.push_back(std::move(s));
  }
  return out;
}

Result<std::string> HollowRuntime::createContainer(const std::string& sandbox, const ContainerConfig& config, const PodSandboxConfig&) {
  std::lock_guard lock(mutex_);
  if (!boxes_.contains(sandbox)) return noSuch("sandbox");
  std::string id = newId();
  Run& r = runs_[id];
  r.sandbox = sandbox;
  r.status.id = id;
  r.status.metadata = config.metadata;
  r.status.labels = config.labels;
  r.status.annotations = config.annotations;
  r.status.image = config.image;
  r.status.imageRef = config.image->image;
  r.status.createdAt = now();
  return id;
}

Status HollowRuntime::startContainer(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto it = runs_.find(id);
  if (it == runs_.end()) return noSuch("container");
  it->second.status.state = ContainerState::kCONTAINER_RUNNING;
  it->second.status.startedAt = now();
  return {};
}

Status HollowRuntime::end(const std::string& id, int code, std::string_view reason, bool* ran) {
  std::lock_guard lock(mutex_);
  auto it = runs_.find(id);
  if (it == runs_.end()) return noSuch("container");
  ContainerStatus& s = it->second.status;
  if (s.state != ContainerState::kCONTAINER_RUNNING) return {};
  s.state = ContainerState::kCONTAINER_EXITED;
  s.exitCode = code;
  s.reason = reason;
  s.finishedAt = now();
  if (ran != nullptr) *ran = true;
  return {};
}

Status HollowRuntime::stopContainer(const std::string& id, int64_t) {
  bool ran = false;
  KM_TRY(end(id, 0, "Completed", &ran));
  if (ran) tell(id);
  return {};
}

Status HollowRuntime::removeContainer(const std::string& id) {
  std::lock_guard lock(mutex_);
  runs_.erase(id);
  return {};
}

Result<ContainerStatus> HollowRuntime::containerStatus(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto it = runs_.find(id);
  if (it == runs_.end()) return noSuch("container");
  return it->second.status;
}

Result<std::vector<Container>> HollowRuntime::listContainers() {
  std::lock_guard lock(mutex_);
  std::vector<Container> out;
  for (const auto& [id, r] : runs_) {
    Container c;
    c.id = id;
    c.podSandboxId = r.sandbox;
    c.labels = r.status.labels;
    c.state = r.status.state;
    c.createdAt = r.status.createdAt;
    out.push_back(std::move(c));
  }
  return out;
}

Result<ExecSyncResponse> HollowRuntime::execSync(const std::string&, const std::vector<std::string>&, int64_t) { return hollow(); }
Result<std::string> HollowRuntime::exec(const ExecRequest&) { return hollow(); }
Result<std::string> HollowRuntime::attach(const AttachRequest&) { return hollow(); }
Result<std::string> HollowRuntime::portForward(const PortForwardRequest&) { return hollow(); }

Result<Image> HollowRuntime::imageStatus(const std::string& image) {
  Image i;
  i.id = idOf(image);
  i.repoTags.push_back(image);
  i.size = 1 << 20;
  return i;
}

Result<std::string> HollowRuntime::pullImage(const std::string& image, const AuthConfig*, const PodSandboxConfig&) { return idOf(image); }

std::unique_ptr<Runtime::Subscription> HollowRuntime::subscribe(std::function<void(std::string)> onEvent, std::function<void()> onGap) {
  struct Ending : Subscription {
    explicit Ending(HollowRuntime* r) : runtime(r) {}
    ~Ending() override {
      std::lock_guard lock(runtime->mutex_);
      runtime->onEvent_ = nullptr;
    }
    HollowRuntime* runtime;
  };
  {
    std::lock_guard lock(mutex_);
    onEvent_ = std::move(onEvent);
  }
  onGap();
  return std::make_unique<Ending>(this);
}

}  // namespace km::kubelet
