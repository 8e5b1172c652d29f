// How a probe asks: exec, HTTP, TCP, gRPC. All block.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <future>

#include "base/strings.h"
#include "base/unique_fd.h"
#include "http/grpc.h"
#include "kubelet/hooks.h"
#include "kubelet/probe_task.h"

namespace km::kubelet {
namespace {

constexpr size_t kMaxOutput = 10 << 10;

std::string hostPort(const std::string& host, int port) { return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port); }

struct HttpAnswer {
  int status = 0;
  std::string location, body;
};

Result<HttpAnswer> fetchOnce(http::Client& client, const http::Endpoint& endpoint, http::CallOptions options) {
  struct State {
    HttpAnswer answer;
    std::promise<Result<HttpAnswer>> promise;
  };
  auto state = std::make_shared<State>();
  http::CallHandler h;
  h.onHead = [state](int status, const http::Headers& headers) {
    state->answer.status = status;
    state->answer.location = std::string(headers.get("location"));
  };
  h.onData = [state](std::string_view bytes) {
    if (state->answer.body.size() < kMaxOutput) state->answer.body.append(bytes.substr(0, kMaxOutput - state->answer.body.size()));
  };
  h.onEnd = [state](const http::Headers&) { state->promise.set_value(std::move(state->answer)); };
  h.onError = [state](const Status& why) { state->promise.set_value(why); };
  auto future = state->promise.get_future();
  auto call = client.send(endpoint, std::move(options), std::move(h));
  return future.get();
}

}  // namespace

ProbeManager::Answer ProbeManager::ask(const Task& task) {
  const v1::Probe& p = task.probe;
  if (p.exec) return askExec(task);
  if (p.httpGet) return askHttp(*p.httpGet, task.container, task.ip, task.timeout());
  if (p.tcpSocket) return askTcp(task);
  if (p.grpc) return askGrpc(task);
  return {ProbeResult::kUnknown, "missing probe handler"};
}

ProbeManager::Answer ProbeManager::askExec(const Task& task) {
  std::vector<std::string> command;
  for (const auto& a : task.probe.exec->command) command.push_back(a.str());
  auto r = runtime_.execSync(task.id, command, std::max(task.probe.timeoutSeconds, 1));
  if (!r.ok()) {
    const std::string& message = r.status().message();
    bool late = r.status().code() == 504 || contains(message, "timed out") || contains(message, "timeout");
    if (late) return {ProbeResult::kFailure, fmt::format("command timed out: \"{}\" timed out after {}s", join(command, " "), task.probe.timeoutSeconds)};
    return {ProbeResult::kUnknown, message};
  }
  std::string output = r->stdout.str() + r->stderr.str();
  if (output.size() > kMaxOutput) output.resize(kMaxOutput);
  return {r->exitCode == 0 ? ProbeResult::kSuccess : ProbeResult::kFailure, output};
}

ProbeManager::Answer ProbeManager::askHttp(const v1::HTTPGetAction& action, const v1::Container& c, const std::string& podHost, Duration timeout) {
  auto port = portOf(action.port, c);
  if (!port.ok()) return {ProbeResult::kUnknown, port.status().message()};
  http::Endpoint endpoint;
  endpoint.host = action.host.empty() ? podHost : action.host.str();
  endpoint.port = *port;
  endpoint.speak = http::Endpoint::Speak::kHttp1;
  bool tls = toLower(action.scheme) == "https";
  if (tls) endpoint.tls = tls_;
  http::CallOptions options;
  options.target = action.path.empty() ? "/" : action.path.view().starts_with("/") ? action.path.str() : "/" + action.path.str();
  options.timeout = timeout;
  bool agent = false, accept = false;
  for (const auto& h : action.httpHeaders) {
    std::string name = toLower(h.name);
    if (name == "host") {
      endpoint.authority = h.value.str();
      continue;
    }
    agent |= name == "user-agent";
    accept |= name == "accept";
    options.headers.add(name, h.value);
  }
  if (!agent) options.headers.add("user-agent", "kube-probe/1.36");
  if (!accept) options.headers.add("accept", "*/*");
  options.headers.add("connection", "close");
  std::string url = fmt::format("{}://{}{}", tls ? "https" : "http", hostPort(endpoint.host, endpoint.port), options.target);
  for (int hops = 0; hops < 10; hops++) {
    auto r = fetchOnce(*http_, endpoint, options);
    if (!r.ok()) return {ProbeResult::kFailure, fmt::format("Get \"{}\": {}", url, r.status().message())};
    if (r->status < 200 || r->status >= 400) return {ProbeResult::kFailure, fmt::format("HTTP probe failed with statuscode: {}", r->status)};
    if (r->status < 300 || r->location.empty()) return {ProbeResult::kSuccess, r->body};
    if (r->location.starts_with("/")) {
      options.target = r->location;
      continue;
    }
    auto next = http::parseUrl(r->location);
    if (!next.ok() || next->host != endpoint.host) return {ProbeResult::kSuccess, r->body};  // to another host: good enough
    endpoint.port = next->port;
    endpoint.tls = next->tls ? tls_ : nullptr;
    options.target = next->target;
  }
  return {ProbeResult::kFailure, fmt::format("Get \"{}\": stopped after 10 redirects", url)};
}

Status ProbeManager::httpOnce(const v1::HTTPGetAction& action, const v1::Container& c, const std::string& host, Duration timeout) {
  Answer a = askHttp(action, c, host, timeout);
  return a.result == ProbeResult::kSuccess ? Status() : errors::failed(a.output);
}

ProbeManager::Answer ProbeManager::askTcp(const Task& task) {
  auto port = portOf(task.probe.tcpSocket->port, task.container);
  if (!port.ok()) return {ProbeResult::kUnknown, port.status().message()};
  std::string host = task.probe.tcpSocket->host.empty() ? task.ip : task.probe.tcpSocket->host.str();
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  std::string where = hostPort(host, *port);
  if (int e = ::getaddrinfo(host.c_str(), std::to_string(*port).c_str(), &hints, &found); e != 0) return {ProbeResult::kFailure, fmt::format("dial tcp: lookup {}: {}", host, ::gai_strerror(e))};
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {ProbeResult::kUnknown, "socket: " + std::string(std::strerror(errno))};
  int error = ::connect(fd.get(), found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd p{fd.get(), POLLOUT, 0};
    int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(task.timeout()).count();
    if (::poll(&p, 1, static_cast<int>(ms)) <= 0) return {ProbeResult::kFailure, fmt::format("dial tcp {}: i/o timeout", where)};
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error == 0) return {ProbeResult::kSuccess, ""};
  return {ProbeResult::kFailure, fmt::format("dial tcp {}: connect: {}", where, toLower(std::strerror(error)))};
}

ProbeManager::Answer ProbeManager::askGrpc(const Task& task) {
  http::Endpoint endpoint;
  endpoint.host = task.ip;
  endpoint.port = task.probe.grpc->port;
  endpoint.speak = http::Endpoint::Speak::kHttp2;
  http::GrpcChannel channel(*http_, endpoint);
  std::string service = task.probe.grpc->service ? task.probe.grpc->service->str() : "", request;
  if (!service.empty()) request = std::string("\x0a") + static_cast<char>(service.size()) + service;  // field 1; names are short
  http::GrpcOptions options;
  options.timeout = task.timeout();
  auto r = channel.unaryAndWait("/grpc.health.v1.Health/Check", request, options);
  if (r.status.code != http::GrpcCode::kOk) {
    if (r.status.code == http::GrpcCode::kUnimplemented) return {ProbeResult::kFailure, "this server does not implement the grpc health protocol (grpc.health.v1.Health): " + r.status.message};
    return {ProbeResult::kFailure, "service rpc error: " + r.status.message};
  }
  int status = r.message.size() >= 2 && r.message[0] == 0x08 ? r.message[1] : 0;
  if (status == 1) return {ProbeResult::kSuccess, "service healthy"};
  constexpr std::string_view kStatus[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  return {ProbeResult::kFailure, fmt::format("service unhealthy (responded with \"{}\")", kStatus[status & 3])};
}

}  // namespace km::kubelet
