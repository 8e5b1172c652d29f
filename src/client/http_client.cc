#include "client/http_client.h"

#include <future>
#include <mutex>

#include "async/file_watch.h"
#include "base/base64.h"
#include "base/files.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "base/strings.h"
#include "client/http_codec.h"
#include "client/workqueue.h"
#include "http/client.h"

namespace km::client {
namespace {

constexpr int kMaxRetries = 10;
constexpr Duration kTokenAge = std::chrono::minutes(1);

using Headers = http::Headers;

// What all calls share. Lives until the last call is over.
struct Core {
  async::Loop& loop;
  RestConfig config;
  http::Endpoint endpoint;
  std::string prefix;  // a path before every request's
  std::unique_ptr<http::Client> http;  // on the loop
  std::mutex mutex;
  std::unique_ptr<async::FileWatch> tlsFiles;
  std::string token;
  Duration tokenRead{-kTokenAge};
  std::optional<TokenBucket> bucket;

  Core(async::Loop& l, const RestConfig& c) : loop(l), config(c) {}

  void addAuthorization(Headers& headers) {
    if (!config.userName.empty()) {
      headers.set("authorization", "Basic " + base64Encode(config.userName + ":" + config.password));
    }
    std::lock_guard lock(mutex);
    if (!config.tokenFile.empty()) {
      Duration now = Clock::system().monotonic();
      if (now - tokenRead >= kTokenAge || token.empty()) {
        if (auto text = readFile(config.tokenFile); text.ok()) token = trimSpace(*text);
        tokenRead = now;
      }
    }
    if (config.tokenSource) token = config.tokenSource();
    if (!token.empty()) headers.set("authorization", "Bearer " + token);
    if (!config.impersonateUser.empty()) headers.set("impersonate-user", config.impersonateUser);
    headers.set("user-agent", config.userAgent);
  }

  Duration throttle() {
    std::lock_guard lock(mutex);
    return bucket ? bucket->reserve(Clock::system().monotonic()) : Duration(0);
  }
};

struct Answer {
  int status = 0;
  std::string contentType;
  std::string body;
};

// One request and its repetitions. On the loop from start() on.
struct Exchange : std::enable_shared_from_this<Exchange> {
  std::shared_ptr<Core> core;
  std::string method, target, contentType;
  api::SharedBytes body;
  bool protobuf = true;
  std::function<void(Result<Answer>)> done;
  Answer answer;
  int retryAfter = 0;
  int tries = 0;
  std::optional<async::Timer> timer;

  void start() {
    Duration wait = core->throttle();
    if (wait <= Duration(0)) {
      core->loop.dispatch([self = shared_from_this()] { self->send(); });
    } else {
      core->loop.dispatch([self = shared_from_this(), wait] { self->sendLater(wait); });
    }
  }

  void sendLater(Duration wait) {
    timer.emplace(core->loop);
    timer->start(wait, [self = shared_from_this()] { self->send(); });
  }

  void send() {
    if (!core->http) return done(errors::serviceUnavailable("the client is closed"));
    answer = {};
    http::CallOptions options;
    options.method = method;
    options.target = target;
    options.timeout = core->config.timeout;
    core->addAuthorization(options.headers);
    options.headers.set("accept", protobuf ? "application/vnd.kubernetes.protobuf,application/json" : "application/json");
    if (body) {
      options.headers.set("content-type", contentType);
      options.body = http::Body(body);
    }
    auto self = shared_from_this();
    http::CallHandler handler;
    handler.onHead = [self](int status, const Headers& headers) {
      self->answer.status = status;
      self->answer.contentType = headers.get("content-type");
      self->retryAfter = static_cast<int>(parseInt64(headers.get("retry-after")).value_or(0));
    };
    handler.onData = [self](std::string_view bytes) { self->answer.body.append(bytes); };
    handler.onEnd = [self](const Headers&) { self->finish(); };
    handler.onError = [self](const Status& why) {
      self->count("<error>");
      self->done(why);
    };
    core->http->send(core->endpoint, std::move(options), std::move(handler));
  }

  void count(std::string_view code) {
    static auto& requests = MetricRegistry::process().counter("rest_client_requests_total",
                                                              "[ALPHA] Number of HTTP requests, partitioned by status code, method, and host.", {"code", "method", "host"});
    std::string host = core->endpoint.host + ":" + std::to_string(core->endpoint.port);
    requests.with({code, method, host}).inc();
  }

  void finish() {
    count(std::to_string(answer.status));
    bool again = (answer.status == 429 || answer.status >= 500) && retryAfter > 0 && tries < kMaxRetries;
    if (!again) return done(std::move(answer));
    tries++;
    sendLater(std::chrono::seconds(retryAfter));
  }
};

// A watch: the sink is called under the mutex, so that the end of the handle waits for the call.
struct WatchCall {
  std::shared_ptr<WatchSink> sink;
  std::recursive_mutex mutex;
  bool over = false;
  int status = 0;
  std::string contentType, errorBody;
  std::unique_ptr<WatchDecoder> decoder;
  std::shared_ptr<http::Call> call;  // on the loop

  void onData(std::string_view bytes) {
    if (status != 200) {
      if (errorBody.size() < (1 << 20)) errorBody.append(bytes);
      return;
    }
    std::vector<WatchEvent> events;
    Status broken = decoder->feed(bytes, events);
    std::lock_guard lock(mutex);
    for (const WatchEvent& e : events) {
      if (over) return;
      sink->onEvent(e);
    }
    if (!broken.ok()) {
      end(broken);
      if (call) call->cancel();
    }
  }

  void end(const Status& why) {
    std::lock_guard lock(mutex);
    if (over) return;
    over = true;
    sink->onEnd(why);
  }
};

class HttpWatch : public Watch {
 public:
  HttpWatch(std::shared_ptr<Core> core, std::shared_ptr<WatchCall> watch) : core_(std::move(core)), watch_(std::move(watch)) {}
  ~HttpWatch() override {
    {
      std::lock_guard lock(watch_->mutex);
      watch_->over = true;
    }
    core_->loop.post([watch = watch_] {
      if (watch->call) watch->call->cancel();
      watch->call = nullptr;
    });
  }

 private:
  std::shared_ptr<Core> core_;
  std::shared_ptr<WatchCall> watch_;
};

class HttpClient : public Client {
 public:
  explicit HttpClient(std::shared_ptr<Core> core) : core_(std::move(core)) {
    core_->loop.dispatch([core = core_] { core->http = std::make_unique<http::Client>(core->loop); });
  }

  ~HttpClient() override {
    std::promise<void> ended;
    core_->loop.post([core = core_, &ended] {
      core->tlsFiles.reset();
      core->http.reset();
      core->loop.post([&ended] { ended.set_value(); });  // after the calls' errors, which come at the end of this turn
    });
    ended.get_future().wait();
  }

  void get(const Target& t, ObjectCallback done) override {
    call("GET", path(t, {}), {}, nullptr, objectAnswer(t, nullptr, std::move(done)));
  }

  void list(const Target& t, const ListOptions& options, ListCallback done) override {
    call("GET", path(t, listParameters(options)), {}, nullptr,
         [resource = t.resource, done = std::move(done)](Result<Answer> a) {
           if (Status s = failure(a); !s.ok()) return done(s);
           done(decodeList(a->body, a->contentType, *resource));
         });
  }

  std::unique_ptr<Watch> watch(const Target& t, const ListOptions& options, std::shared_ptr<WatchSink> sink) override {
    auto parameters = listParameters(options);
    parameters.emplace_back("watch", "true");
    parameters.emplace_back("allowWatchBookmarks", "true");
    parameters.emplace_back("timeoutSeconds", std::to_string(300 + static_cast<int>(300 * randomFraction())));
    auto w = std::make_shared<WatchCall>();
    w->sink = std::move(sink);
    w->decoder = std::make_unique<WatchDecoder>(*t.resource, core_->config.json);
    http::CallOptions request;
    request.target = path(t, std::move(parameters));
    core_->addAuthorization(request.headers);
    request.headers.set("accept", core_->config.json ? "application/json"
                                                     : "application/vnd.kubernetes.protobuf;stream=watch,application/json");
    core_->loop.dispatch([core = core_, w, resource = t.resource, request = std::move(request)]() mutable {
      startWatch(core, w, *resource, std::move(request));
    });
    return std::make_unique<HttpWatch>(core_, w);
  }

  void create(const Target& t, ObjectPtr object, const WriteOptions& options, ObjectCallback done) override {
    Target at = t;
    if (at.subresource.empty()) at.name.clear();
    write("POST", at, object, options, std::move(done));
  }

  void update(const Target& t, ObjectPtr object, const WriteOptions& options, ObjectCallback done) override {
    Target at = t;
    if (at.name.empty()) at.name = object->name();
    write("PUT", at, object, options, std::move(done));
  }

  void patch(const Target& t, PatchType type, std::string body, const WriteOptions& options,
             ObjectCallback done) override {
    static constexpr std::string_view kTypes[] = {"application/json-patch+json", "application/merge-patch+json",
                                                  "application/strategic-merge-patch+json",
                                                  "application/apply-patch+yaml"};
    call("PATCH", path(t, writeParameters(options)), kTypes[static_cast<int>(type)],
         std::make_shared<const std::string>(std::move(body)), objectAnswer(t, nullptr, std::move(done)));
  }

  void remove(const Target& t, const DeleteOptions& options, StatusCallback done) override {
    call("DELETE", path(t, {}), "application/json", std::make_shared<const std::string>(deleteOptionsJson(options)),
         [done = std::move(done)](Result<Answer> a) { done(failure(a)); });
  }

  void removeCollection(const Target& t, const ListOptions& which, const DeleteOptions& options,
                        StatusCallback done) override {
    call("DELETE", path(t, listParameters(which)), "application/json",
         std::make_shared<const std::string>(deleteOptionsJson(options)),
         [done = std::move(done)](Result<Answer> a) { done(failure(a)); });
  }

 private:
  using Done = std::function<void(Result<Answer>)>;

  std::string path(const Target& t, std::vector<std::pair<std::string_view, std::string>> parameters) const {
    std::string p = core_->prefix + resourcePath(t);
    appendQuery(p, std::move(parameters));
    return p;
  }

  static Status failure(const Result<Answer>& a) {
    if (!a.ok()) return a.status();
    if (a->status >= 200 && a->status < 300) return {};
    return decodeError(a->status, a->body, a->contentType);
  }

  static Done objectAnswer(const Target& t, const codec::TypeInfo* given, ObjectCallback done) {
    return [resource = t.resource, given, done = std::move(done)](Result<Answer> a) {
      if (Status s = failure(a); !s.ok()) return done(s);
      done(decodeObject(a->body, a->contentType, *resource, given));
    };
  }

  void write(std::string_view method, const Target& t, const ObjectPtr& object, const WriteOptions& options,
             ObjectCallback done) {
    bool json = core_->config.json;
    call(method, path(t, writeParameters(options)), json ? "application/json" : kProtobufType,
         json ? object->json() : object->proto(), objectAnswer(t, &object->type(), std::move(done)));
  }

  void call(std::string_view method, std::string target, std::string_view contentType, api::SharedBytes body, Done done) {
    auto e = std::make_shared<Exchange>();
    e->core = core_;
    e->method = method;
    e->target = std::move(target);
    e->contentType = contentType;
    e->body = std::move(body);
    e->protobuf = !core_->config.json;
    e->done = std::move(done);
    e->start();
  }

  static void startWatch(const std::shared_ptr<Core>& core, const std::shared_ptr<WatchCall>& w,
                         const api::Resource& resource, http::CallOptions request) {
    {
      std::lock_guard lock(w->mutex);
      if (w->over) return;
    }
    if (!core->http) return w->end(errors::serviceUnavailable("the client is closed"));
    http::CallHandler handler;
    handler.onHead = [w, &resource](int status, const Headers& headers) {
      w->status = status;
      w->contentType = headers.get("content-type");
      w->decoder = std::make_unique<WatchDecoder>(resource, !w->contentType.starts_with(kProtobufType));
    };
    handler.onData = [w](std::string_view bytes) { w->onData(bytes); };
    handler.onEnd = [w](const Headers&) {
      w->end(w->status == 200 ? Status() : decodeError(w->status, w->errorBody, w->contentType));
      w->call = nullptr;
    };
    handler.onError = [w](const Status& why) {
      w->end(why);
      w->call = nullptr;
    };
    w->call = core->http->send(core->endpoint, std::move(request), std::move(handler));
  }

  std::shared_ptr<Core> core_;
};

}  // namespace

Result<std::unique_ptr<Client>> makeHttpClient(async::Loop& loop, const RestConfig& config) {
  auto core = std::make_shared<Core>(loop, config);
  KM_ASSIGN(auto url, http::parseUrl(config.server));
  core->endpoint.host = url.host;
  core->endpoint.port = url.port;
  core->prefix = url.target;
  while (core->prefix.ends_with('/')) core->prefix.pop_back();
  if (url.tls) {
    async::TlsClientOptions tls;
    tls.caPem = config.caData;
    tls.caFile = config.caFile;
    tls.certificatePem = config.certData;
    tls.certificateFile = config.certFile;
    tls.keyPem = config.keyData;
    tls.keyFile = config.keyFile;
    tls.serverName = config.tlsServerName;
    tls.insecure = config.insecure;
    KM_ASSIGN(core->endpoint.tls, async::TlsContext::client(tls));
    core->tlsFiles = async::renewFromFiles(loop, core->endpoint.tls, tls, [raw = core.get()] {
      if (raw->http) raw->http->retireConnections();
    });
  }
  core->token = config.token;
  if (config.qps > 0) core->bucket.emplace(config.qps, std::max(config.burst, 1));
  return std::unique_ptr<Client>(std::make_unique<HttpClient>(core));
}

}  // namespace km::client
