#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>

#include "api/types/containerd_events_v1.h"
#include "async/loop.h"
#include "base/log.h"
#include "codec/proto.h"
#include "codec/value.h"
#include "cri/runtime.h"
#include "http/grpc.h"

namespace km::cri {
namespace {

using Rt = RuntimeServiceMethods;
using Im = ImageServiceMethods;
constexpr auto kTimeout = std::chrono::minutes(2);  // upstream's --runtime-request-timeout
constexpr auto kPullTimeout = std::chrono::minutes(10);
constexpr Duration kFirstReconnect = std::chrono::milliseconds(50), kLastReconnect = std::chrono::seconds(1);
constexpr auto kSettle = std::chrono::milliseconds(500);  // in which a subscription surely stands

http::Endpoint endpointOf(std::string socket) {
  if (socket.starts_with("unix://")) socket.erase(0, 7);
  http::Endpoint e;
  e.unixPath = std::move(socket);
  e.speak = http::Endpoint::Speak::kHttp2;
  return e;
}

template <typename T>
std::vector<T> toVector(codec::List<T>& list) {
  std::vector<T> out;
  out.reserve(list.size());
  for (T& v : list) out.push_back(std::move(v));
  return out;
}

// A stream of container events that reconnects. Tries CRI's own, then containerd's.
class EventStream : public Runtime::Subscription, public std::enable_shared_from_this<EventStream> {
 public:
  EventStream(async::Loop& loop, http::GrpcChannel& channel, std::function<void(std::string)> onEvent,
              std::function<void()> onGap)
      : loop_(loop), channel_(channel), onEvent_(std::move(onEvent)), onGap_(std::move(onGap)) {}

  void begin() {
    loop_.post([self = shared_from_this()] { self->connect(); });
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    loop_.post([self = shared_from_this()] {
      if (self->stream_) self->stream_->cancel();
      self->stream_.reset();
      self->timer_.reset();
    });
  }

 private:
  bool stopped() {
    std::lock_guard lock(mutex_);
    return stopped_;
  }
  void connect() {
    if (stopped()) return;
    auto self = shared_from_this();
    bool native = native_;
    http::GrpcStreamHandler handler;
    handler.onMessage = [self, native](std::string bytes) { self->received(bytes, native); };
    handler.onEnd = [self, native](const http::GrpcStatus& s) {
      if (native && s.code == http::GrpcCode::kUnimplemented) {
        self->native_ = false;
        return self->connect();
      }
      self->again(s);
    };
    stream_ =
        channel_.open(native ? Rt::GetContainerEvents : api::containerd_events_v1::EventsMethods::Subscribe,
                      {}, std::move(handler));
    std::string request;
    if (!native) {
      api::containerd_events_v1::SubscribeRequest r;
      r.filters.push_back("namespace==k8s.io,topic~=/tasks/");
      request = codec::toProto(r);
    }
    stream_->send(request);
    stream_->closeSend();
    onGap_();
    // Nothing tells when the subscription stands: what happens before that is found by a second look.
    timer_ = std::make_unique<async::Timer>(loop_);
    timer_->start(kSettle, [self] {
      if (self->stopped() || !self->stream_) return;
      self->wait_ = kFirstReconnect;
      self->onGap_();
    });
  }
  void again(const http::GrpcStatus& s) {
    if (stopped()) return;
    KM_VLOG(2, "the runtime's event stream ended: {}", s.str());
    stream_.reset();
    timer_ = std::make_unique<async::Timer>(loop_);
    timer_->start(wait_, [self = shared_from_this()] { self->connect(); });
    wait_ = std::min(wait_ * 2, kLastReconnect);
  }
  void received(const std::string& bytes, bool native) {
    if (stopped()) return;
    if (native) {
      auto e = codec::fromProto<ContainerEventResponse>(bytes);
      bool over = e.ok() && (e->containerEventType == ContainerEventType::kCONTAINER_STOPPED_EVENT ||
                             e->containerEventType == ContainerEventType::kCONTAINER_DELETED_EVENT);
      if (over) onEvent_(e->containerId.str());
      return;
    }
    auto envelope = codec::fromProto<api::containerd_events_v1::Envelope>(bytes);
    if (!envelope.ok() || !envelope->event) return;
    std::string_view topic = envelope->topic;
    if (topic != "/tasks/exit" && topic != "/tasks/oom") return;
    auto e = codec::fromProto<api::containerd_events_v1::TaskEvent>(envelope->event->value);
    if (e.ok()) onEvent_(e->containerId.str());
  }

  async::Loop& loop_;
  http::GrpcChannel& channel_;
  std::function<void(std::string)> onEvent_;
  std::function<void()> onGap_;
  std::mutex mutex_;
  bool stopped_ = false;
  bool native_ = true;  // on the loop, as what follows
  Duration wait_ = kFirstReconnect;
  std::shared_ptr<http::GrpcStream> stream_;
  std::unique_ptr<async::Timer> timer_;
};

class Handle : public Runtime::Subscription {
 public:
  explicit Handle(std::shared_ptr<EventStream> stream) : stream_(std::move(stream)) {}
  ~Handle() override { stream_->stop(); }

 private:
  std::shared_ptr<EventStream> stream_;
};

// The calls under way, so that a stop need not wait for those that last.
class Calls {
 public:
  struct One {
    bool lasts = false, done = false;
    http::GrpcResult result;
  };
  using Ptr = std::shared_ptr<One>;

  // Null once closed.
  Ptr begin(bool lasts) {
    std::lock_guard lock(mutex_);
    if (closed_) return nullptr;
    auto one = std::make_shared<One>();
    one->lasts = lasts;
    open_.insert(one);
    return one;
  }
  void end(const Ptr& one, http::GrpcResult result) {
    std::lock_guard lock(mutex_);
    if (one->done) return;
    one->done = true;
    one->result = std::move(result);
    open_.erase(one);
    wake_.notify_all();
  }
  http::GrpcResult wait(const Ptr& one) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return one->done; });
    return std::move(one->result);
  }
  void close(Duration grace) {
    std::unique_lock lock(mutex_);
    closed_ = true;
    give([](const One& one) { return one.lasts; });
    wake_.wait_for(lock, grace, [&] { return open_.empty(); });
    give([](const One&) { return true; });
  }
  static http::GrpcResult closed() {
    return {{http::GrpcCode::kUnavailable, "the kubelet is stopping"}, {}, {}};
  }

 private:
  void give(const std::function<bool(const One&)>& which) {
    for (auto it = open_.begin(); it != open_.end();) {
      if (!which(**it)) {
        ++it;
        continue;
      }
      (*it)->done = true;
      (*it)->result = closed();
      it = open_.erase(it);
    }
    wake_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<Ptr> open_;
  bool closed_ = false;
};

class GrpcRuntime : public Runtime {
 public:
  GrpcRuntime(async::Loop& loop, const std::string& socket)
      : loop_(loop), wire_(std::make_unique<Wire>(loop, socket)) {}
  // Connections belong to the loop, so they end there. Blocks, unless it is the loop that destroys.
  ~GrpcRuntime() override {
    if (loop_.inThread()) return;
    std::promise<void> ended;
    loop_.post([&] {
      wire_.reset();
      ended.set_value();
    });
    ended.get_future().wait();
  }

  Result<VersionResponse> version() override { return call<VersionResponse>(Rt::Version, VersionRequest()); }
  Result<std::string> cgroupDriver() override {
    KM_ASSIGN(auto answer, call<RuntimeConfigResponse>(Rt::RuntimeConfig, RuntimeConfigRequest()));
    bool systemd = !answer.linux || answer.linux->cgroupDriver == 0;
    return std::string(systemd ? "systemd" : "cgroupfs");
  }
  Result<StatusResponse> status() override { return call<StatusResponse>(Rt::Status, StatusRequest()); }

  Result<std::string> runPodSandbox(const PodSandboxConfig& config, const std::string& handler) override {
    RunPodSandboxRequest r;
    r.config = config;
    r.runtimeHandler = handler;
    KM_ASSIGN(auto answer, call<RunPodSandboxResponse>(Rt::RunPodSandbox, r, std::chrono::minutes(4)));
    return answer.podSandboxId.str();
  }
  Status stopPodSandbox(const std::string& id) override {
    StopPodSandboxRequest r;
    r.podSandboxId = id;
    return call<StopPodSandboxResponse>(Rt::StopPodSandbox, r).status();
  }
  Status removePodSandbox(const std::string& id) override {
    RemovePodSandboxRequest r;
    r.podSandboxId = id;
    return call<RemovePodSandboxResponse>(Rt::RemovePodSandbox, r).status();
  }
  Result<PodSandboxStatus> podSandboxStatus(const std::string& id) override {
    PodSandboxStatusRequest r;
    r.podSandboxId = id;
    KM_ASSIGN(auto answer, call<PodSandboxStatusResponse>(Rt::PodSandboxStatus, r));
    return answer.status ? std::move(*answer.status) : PodSandboxStatus();
  }
  Result<std::vector<PodSandbox>> listPodSandbox() override {
    KM_ASSIGN(auto answer, call<ListPodSandboxResponse>(Rt::ListPodSandbox, ListPodSandboxRequest()));
    return toVector(answer.items);
  }

  Result<std::string> createContainer(const std::string& sandbox, const ContainerConfig& config,
                                      const PodSandboxConfig& sandboxConfig) override {
    CreateContainerRequest r;
    r.podSandboxId = sandbox;
    r.config = config;
    r.sandboxConfig = sandboxConfig;
    KM_ASSIGN(auto answer, call<CreateContainerResponse>(Rt::CreateContainer, r));
    return answer.containerId.str();
  }
  Status startContainer(const std::string& id) override {
    StartContainerRequest r;
    r.containerId = id;
    return call<StartContainerResponse>(Rt::StartContainer, r).status();
  }
  Status stopContainer(const std::string& id, int64_t graceSeconds) override {
    StopContainerRequest r;
    r.containerId = id;
    r.timeout = graceSeconds;
    return call<StopContainerResponse>(Rt::StopContainer, r, kTimeout + std::chrono::seconds(graceSeconds),
                                       true)
        .status();
  }
  Status removeContainer(const std::string& id) override {
    RemoveContainerRequest r;
    r.containerId = id;
    {
      std::lock_guard lock(usersMutex_);
      users_.erase(id);
    }
    return call<RemoveContainerResponse>(Rt::RemoveContainer, r).status();
  }
  Result<ContainerStatus> containerStatus(const std::string& id) override {
    ContainerStatusRequest r;
    r.containerId = id;
    KM_ASSIGN(auto answer, call<ContainerStatusResponse>(Rt::ContainerStatus, r));
    if (!answer.status) return ContainerStatus();
    if (!answer.status->user) answer.status->user = userOf(id);
    return std::move(*answer.status);
  }
  Result<std::vector<Container>> listContainers() override {
    KM_ASSIGN(auto answer, call<ListContainersResponse>(Rt::ListContainers, ListContainersRequest()));
    return toVector(answer.containers);
  }
  Result<ExecSyncResponse> execSync(const std::string& id, const std::vector<std::string>& command,
                                    int64_t timeoutSeconds) override {
    ExecSyncRequest r;
    r.containerId = id;
    for (const std::string& c : command) r.cmd.push_back(c);
    r.timeout = timeoutSeconds;
    Duration limit = timeoutSeconds > 0 ? std::chrono::seconds(timeoutSeconds) + std::chrono::seconds(10)
                                        : Duration(kTimeout);
    return call<ExecSyncResponse>(Rt::ExecSync, r, limit, true);
  }
  Result<std::string> exec(const ExecRequest& request) override {
    KM_ASSIGN(auto answer, call<ExecResponse>(Rt::Exec, request));
    return answer.url.str();
  }
  Result<std::string> attach(const AttachRequest& request) override {
    KM_ASSIGN(auto answer, call<AttachResponse>(Rt::Attach, request));
    return answer.url.str();
  }
  Result<std::string> portForward(const PortForwardRequest& request) override {
    KM_ASSIGN(auto answer, call<PortForwardResponse>(Rt::PortForward, request));
    return answer.url.str();
  }
  Status reopenLog(const std::string& id) override {
    ReopenContainerLogRequest r;
    r.containerId = id;
    return call<ReopenContainerLogResponse>(Rt::ReopenContainerLog, r).status();
  }

  Result<std::vector<Image>> listImages() override {
    KM_ASSIGN(auto answer, call<ListImagesResponse>(Im::ListImages, ListImagesRequest()));
    return toVector(answer.images);
  }
  Result<Image> imageStatus(const std::string& image) override {
    ImageStatusRequest r;
    r.image.emplace().image = image;
    KM_ASSIGN(auto answer, call<ImageStatusResponse>(Im::ImageStatus, r));
    return answer.image ? std::move(*answer.image) : Image();
  }
  Result<std::string> pullImage(const std::string& image, const AuthConfig* auth,
                                const PodSandboxConfig& sandbox) override {
    PullImageRequest r;
    r.image.emplace().image = image;
    if (auth != nullptr) r.auth = *auth;
    r.sandboxConfig = sandbox;
    KM_ASSIGN(auto answer, call<PullImageResponse>(Im::PullImage, r, kPullTimeout, true));
    return answer.imageRef.str();
  }
  Status removeImage(const std::string& image) override {
    RemoveImageRequest r;
    r.image.emplace().image = image;
    return call<RemoveImageResponse>(Im::RemoveImage, r).status();
  }

  std::unique_ptr<Subscription> subscribe(std::function<void(std::string)> onEvent,
                                          std::function<void()> onGap) override {
    auto stream = std::make_shared<EventStream>(loop_, wire_->channel, std::move(onEvent), std::move(onGap));
    stream->begin();
    return std::make_unique<Handle>(std::move(stream));
  }

  void close(Duration grace) override { calls_->close(grace); }

 private:
  // Of a runtime that does not tell the user by itself (containerd before 2.0): from the verbose answer,
  // asked once a container.
  ContainerUser userOf(const std::string& id) {
    {
      std::lock_guard lock(usersMutex_);
      if (auto it = users_.find(id); it != users_.end()) return it->second;
    }
    ContainerUser user;
    ContainerStatusRequest r;
    r.containerId = id;
    r.verbose = true;
    auto answer = call<ContainerStatusResponse>(Rt::ContainerStatus, r);
    if (!answer.ok()) return user;
    auto info = codec::Value::parse(answer->info.get("info").view());
    const codec::Value* at = info.ok() ? &*info : nullptr;
    for (std::string_view key : {"runtimeSpec", "process", "user"}) at = at ? at->find(key) : nullptr;
    if (at == nullptr) return user;
    auto& u = user.linux.ensure();
    if (const codec::Value* v = at->find("uid")) u.uid = v->asInt();
    if (const codec::Value* v = at->find("gid")) u.gid = v->asInt();
    if (const codec::Value* v = at->find("additionalGids")) {
      for (const codec::Value& g : v->items()) u.supplementalGroups.push_back(g.asInt());
    }
    std::lock_guard lock(usersMutex_);
    users_[id] = user;
    return user;
  }

  // `lasts`: as long as a container, a command or a registry likes.
  template <typename Answer, typename Request>
  Result<Answer> call(const char* method, const Request& request, Duration timeout = kTimeout,
                      bool lasts = false) {
    http::GrpcOptions options;
    options.timeout = timeout;
    Calls::Ptr one = calls_->begin(lasts);
    if (!one) return Calls::closed().status.toStatus();
    wire_->channel.unary(method, codec::toProto(request), options,
                   [calls = calls_, one](http::GrpcResult r) { calls->end(one, std::move(r)); });
    http::GrpcResult r = calls_->wait(one);
    if (!r.status.ok()) return r.status.toStatus();
    return codec::fromProto<Answer>(r.message);
  }

  struct Wire {
    Wire(async::Loop& loop, const std::string& socket) : client(loop), channel(client, endpointOf(socket)) {}
    http::Client client;
    http::GrpcChannel channel;
  };

  async::Loop& loop_;
  std::unique_ptr<Wire> wire_;
  const std::shared_ptr<Calls> calls_ = std::make_shared<Calls>();
  std::mutex usersMutex_;
  std::map<std::string, ContainerUser> users_;
};

}  // namespace

std::unique_ptr<Runtime> connectRuntime(async::Loop& loop, const std::string& socket) {
  return std::make_unique<GrpcRuntime>(loop, socket);
}

}  // namespace km::cri
