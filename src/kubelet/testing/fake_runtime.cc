#include "kubelet/testing/fake_runtime.h"

namespace km::kubelet {

using namespace cri;

int64_t FakeRuntime::now() const {
  WallTime t = clock_.now();
  return t.seconds * 1'000'000'000 + t.nanos + next_;
}

void FakeRuntime::tell(const std::string& id) {
  std::function<void(std::string)> f;
  {
    std::lock_guard lock(mutex_);
    f = onEvent_;
  }
  if (f) f(id);
}

void FakeRuntime::addImage(const std::string& name) {
  std::lock_guard lock(mutex_);
  Image& i = images_[name];
  i.id = "sha256:" + name;
  i.repoTags.push_back(name);
}

void FakeRuntime::exitContainer(std::string_view name, int code) {
  std::string id;
  {
    std::lock_guard lock(mutex_);
    for (auto& [key, r] : runs_) {
      if (r.config.metadata->name != name || r.status.state != ContainerState::kCONTAINER_RUNNING) continue;
      id = key;
      r.status.state = ContainerState::kCONTAINER_EXITED;
      r.status.exitCode = code;
      r.status.reason = code == 0 ? "Completed" : "Error";
      r.status.finishedAt = now();
    }
  }
  if (!id.empty()) tell(id);
}

std::vector<std::string> FakeRuntime::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

std::vector<ContainerConfig> FakeRuntime::created() const {
  std::lock_guard lock(mutex_);
  std::vector<ContainerConfig> out;
  for (const auto& [id, r] : runs_) out.push_back(r.config);
  return out;
}

int FakeRuntime::runningCount() const {
  std::lock_guard lock(mutex_);
  int n = 0;
  for (const auto& [id, r] : runs_) n += r.status.state == ContainerState::kCONTAINER_RUNNING;
  return n;
}

void FakeRuntime::setExecExit(int code) {
  std::lock_guard lock(mutex_);
  execExit_ = code;
}

Result<VersionResponse> FakeRuntime::version() {
  VersionResponse v;
  v.runtimeName = "fake";
  v.runtimeVersion = "1";
  return v;
}

Result<StatusResponse> FakeRuntime::status() {
  StatusResponse s;
  for (const char* type : {"RuntimeReady", "NetworkReady"}) {
    auto& c = s.status.ensure().conditions.add();
    c.type = type;
    c.status = true;
  }
  return s;
}

Result<std::string> FakeRuntime::runPodSandbox(const PodSandboxConfig& config, const std::string&) {
  std::lock_guard lock(mutex_);
  std::string id = "box" + std::to_string(next_++);
  boxes_[id] = {config, PodSandboxState::kSANDBOX_READY, now()};
  log("run " + config.metadata->name.str());
  return id;
}

Status FakeRuntime::stopPodSandbox(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto it = boxes_.find(id);
  if (it == boxes_.end()) return Status(404, "NotFound", "no such sandbox");
  it->second.state = PodSandboxState::kSANDBOX_NOTREADY;
  log("stop-sandbox " + it->second.config.metadata->name.str());
  return {};
}

Status FakeRuntime::removePodSandbox(const std::string& id) {
  std::lock_guard lock(mutex_);
  boxes_.erase(id);
  log("remove-sandbox");
  return {};
}

Result<PodSandboxStatus> FakeRuntime::podSandboxStatus(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto it = boxes_.find(id);
  if (it == boxes_.end()) return Status(404, "NotFound", "no such sandbox");
  PodSandboxStatus s;
  s.id = id;
  s.metadata = it->second.config.metadata;
  s.state = it->second.state;
  s.createdAt = it->second.createdAt;
  s.labels = it->second.config.labels;
  s.network.ensure().ip = ip_;
  return s;
}

Result<std::vector<PodSandbox>> FakeRuntime::listPodSandbox() {
  std::lock_guard lock(mutex_);
  std::vector<PodSandbox> out;
  for (const auto& [id, b] : boxes_) {
    PodSandbox s;
    s.id = id;
    s.metadata = b.config.metadata;
    s.state = b.state;
    s.labels = b.config.labels;
    out.push_back(std::move(s));
  }
  return out;
}

Result<std::string> FakeRuntime::createContainer(const std::string& sandbox, const ContainerConfig& config, const PodSandboxConfig&) {
  std::lock_guard lock(mutex_);
  std::string id = "run" + std::to_string(next_++);
  Run& r = runs_[id];
  r.sandbox = sandbox;
  r.config = config;
  r.status.id = id;
  r.status.metadata = config.metadata;
  r.status.labels = config.labels;
  r.status.annotations = config.annotations;
  r.status.mounts = config.mounts;
  r.status.image = config.image;
  r.status.imageRef = config.image->image;
  r.status.createdAt = now();
  log("create " + config.metadata->name.str());
  return id;
}

Status FakeRuntime::startContainer(const std::string& id) {
  std::lock_guard lock(mutex_);
  Run& r = runs_.at(id);
  r.status.state = ContainerState::kCONTAINER_RUNNING;
  r.status.startedAt = now();
  log("start " + r.config.metadata->name.str());
  return {};
}

Status FakeRuntime::stopContainer(const std::string& id, int64_t graceSeconds) {
  {
    std::lock_guard lock(mutex_);
    auto it = runs_.find(id);
    if (it == runs_.end()) return Status(404, "NotFound", "no such container");
    log("stop " + it->second.config.metadata->name.str() + " " + std::to_string(graceSeconds));
    if (it->second.status.state == ContainerState::kCONTAINER_RUNNING) {
      it->second.status.state = ContainerState::kCONTAINER_EXITED;
      it->second.status.exitCode = 143;
      it->second.status.reason = "Error";
      it->second.status.finishedAt = now();
    }
  }
  tell(id);
  return {};
}

Status FakeRuntime::removeContainer(const std::string& id) {
  std::lock_guard lock(mutex_);
  runs_.erase(id);
  return {};
}

Result<ContainerStatus> FakeRuntime::containerStatus(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto it = runs_.find(id);
  if (it == runs_.end()) return Status(404, "NotFound", "no such container");
  return it->second.status;
}

Result<std::vector<Container>> FakeRuntime::listContainers() {
  std::lock_guard lock(mutex_);
  std::vector<Container> out;
  for (const auto& [id, r] : runs_) {
    Container c;
    c.id = id;
    c.podSandboxId = r.sandbox;
    c.labels = r.config.labels;
    c.state = r.status.state;
    out.push_back(std::move(c));
  }
  return out;
}

Result<ExecSyncResponse> FakeRuntime::execSync(const std::string&, const std::vector<std::string>&, int64_t) {
  std::lock_guard lock(mutex_);
  ExecSyncResponse r;
  r.exitCode = execExit_;
  return r;
}

Result<std::vector<Image>> FakeRuntime::listImages() {
  std::lock_guard lock(mutex_);
  std::vector<Image> out;
  for (const auto& [name, i] : images_) out.push_back(i);
  return out;
}

Result<Image> FakeRuntime::imageStatus(const std::string& image) {
  std::lock_guard lock(mutex_);
  auto it = images_.find(image);
  return it == images_.end() ? Image() : it->second;
}

Result<std::string> FakeRuntime::pullImage(const std::string& image, const AuthConfig*, const PodSandboxConfig&) {
  std::lock_guard lock(mutex_);
  log("pull " + image);
  return Status(404, "NotFound", "no registry in tests");
}

std::unique_ptr<Runtime::Subscription> FakeRuntime::subscribe(std::function<void(std::string)> onEvent, std::function<void()> onGap) {
  struct Ending : Subscription {
    explicit Ending(FakeRuntime* r) : runtime(r) {}
    ~Ending() override {
      std::lock_guard lock(runtime->mutex_);
      runtime->onEvent_ = nullptr;
    }
    FakeRuntime* runtime;
  };
  {
    std::lock_guard lock(mutex_);
    onEvent_ = std::move(onEvent);
  }
  onGap();
  return std::make_unique<Ending>(this);
}

}  // namespace km::kubelet
