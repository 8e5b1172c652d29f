// Probes and lifecycle handlers.
#include <fmt/format.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/core/pod_parts.h"

namespace km::registry {

namespace v1 = api::core_v1;

namespace {

void validatePort(const codec::IntOrString& port, const Path& p, FieldErrors& errors) {
  if (port.isString) {
    errors.each(p, port.text.view(), api::isValidPortName(port.text));
  } else {
    errors.each(p, port.number, api::isValidPortNum(port.number));
  }
}

// Handlers of probes and of lifecycle hooks share all but gRPC and sleeping.
struct Handler {
  const v1::ExecAction* exec;
  const v1::HTTPGetAction* httpGet;
  const v1::TCPSocketAction* tcpSocket;
  const v1::GRPCAction* grpc;
  const v1::SleepAction* sleep;
};

void validateHttpGet(const v1::HTTPGetAction& a, const Path& p, FieldErrors& errors) {
  if (a.path.empty()) errors.required(p.child("path"), "");
  validatePort(a.port, p.child("port"), errors);
  if (!isIn(a.scheme, {"HTTP", "HTTPS"})) errors.notSupported(p.child("scheme"), a.scheme.view(), {"HTTP", "HTTPS"});
  for (const auto& h : a.httpHeaders) errors.each(p.child("httpHeaders"), h.name.view(), api::isHttpHeaderName(h.name));
}

void validateHandler(const Handler& h, std::optional<int64_t> grace, const Path& p, FieldErrors& errors) {
  int count = 0;
  auto first = [&](const void* handler, std::string_view name) {
    if (handler == nullptr) return false;
    if (count++ == 0) return true;
    errors.forbidden(p.child(name), "may not specify more than 1 handler type");
    return false;
  };
  if (first(h.exec, "exec") && h.exec->command.empty()) errors.required(p.child("exec").child("command"), "");
  if (first(h.httpGet, "httpGet")) validateHttpGet(*h.httpGet, p.child("httpGet"), errors);
  if (first(h.tcpSocket, "tcpSocket")) validatePort(h.tcpSocket->port, p.child("tcpSocket").child("port"), errors);
  if (first(h.grpc, "grpc")) validatePort(h.grpc->port, p.child("grpc").child("port"), errors);
  if (first(h.sleep, "sleep") && grace && (h.sleep->seconds < 0 || h.sleep->seconds > *grace)) {
    errors.invalid(p.child("sleep"), h.sleep->seconds,
                   fmt::format("must be non-negative and less than terminationGracePeriodSeconds ({})", *grace));
  }
  if (count == 0) errors.required(p, "must specify a handler type");
}

constexpr std::string_view kSignals[] = {
    "SIGABRT",     "SIGALRM",     "SIGBUS",      "SIGCHLD",     "SIGCLD",      "SIGCONT",     "SIGFPE",      "SIGHUP",
    "SIGILL",      "SIGINT",      "SIGIO",       "SIGIOT",      "SIGKILL",     "SIGPIPE",     "SIGPOLL",     "SIGPROF",
    "SIGPWR",      "SIGQUIT",     "SIGRTMAX",    "SIGRTMAX-1",  "SIGRTMAX-10", "SIGRTMAX-11", "SIGRTMAX-12", "SIGRTMAX-13",
    "SIGRTMAX-14", "SIGRTMAX-2",  "SIGRTMAX-3",  "SIGRTMAX-4",  "SIGRTMAX-5",  "SIGRTMAX-6",  "SIGRTMAX-7",  "SIGRTMAX-8",
    "SIGRTMAX-9",  "SIGRTMIN",    "SIGRTMIN+1",  "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14",
    "SIGRTMIN+15", "SIGRTMIN+2",  "SIGRTMIN+3",  "SIGRTMIN+4",  "SIGRTMIN+5",  "SIGRTMIN+6",  "SIGRTMIN+7",  "SIGRTMIN+8",
    "SIGRTMIN+9",  "SIGSEGV",     "SIGSTKFLT",   "SIGSTOP",     "SIGSYS",      "SIGTERM",     "SIGTRAP",     "SIGTSTP",
    "SIGTTIN",     "SIGTTOU",     "SIGURG",      "SIGUSR1",     "SIGUSR2",     "SIGVTALRM",   "SIGWINCH",    "SIGXCPU",
    "SIGXFSZ"};

void validateStopSignal(std::string_view signal, const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  if (!spec.os) return errors.forbidden(p, "may not be set for containers with empty `spec.os.name`");
  std::vector<std::string_view> known = {"SIGKILL", "SIGTERM"};
  if (spec.os->name == "linux") known.assign(std::begin(kSignals), std::end(kSignals));
  for (std::string_view k : known) {
    if (k == signal) return;
  }
  errors.notSupported(p, signal, known);
}

}  // namespace

void validateProbe(const v1::Probe& probe, std::string_view name, const Path& parent, FieldErrors& errors) {
  Path p = parent.child(name);
  validateHandler({probe.exec.get(), probe.httpGet.get(), probe.tcpSocket.get(), probe.grpc.get(), nullptr}, {}, p, errors);
  nonNegative(probe.initialDelaySeconds, p.child("initialDelaySeconds"), errors);
  nonNegative(probe.timeoutSeconds, p.child("timeoutSeconds"), errors);
  nonNegative(probe.periodSeconds, p.child("periodSeconds"), errors);
  nonNegative(probe.successThreshold, p.child("successThreshold"), errors);
  nonNegative(probe.failureThreshold, p.child("failureThreshold"), errors);
  const auto& grace = probe.terminationGracePeriodSeconds;
  if (grace && *grace <= 0) errors.invalid(p.child("terminationGracePeriodSeconds"), *grace, "must be greater than 0");
  if (name == "readinessProbe") {
    if (grace) errors.invalid(p.child("terminationGracePeriodSeconds"), *grace, "must not be set for readinessProbes");
  } else if (probe.successThreshold != 1) {
    errors.invalid(p.child("successThreshold"), probe.successThreshold, "must be 1");
  }
}

void validateLifecycle(const v1::Lifecycle& l, const v1::PodSpec& spec, const Path& p, FieldErrors& errors) {
  auto hook = [&](const codec::Box<v1::LifecycleHandler>& h, std::string_view name) {
    if (!h) return;
    validateHandler({h->exec.get(), h->httpGet.get(), h->tcpSocket.get(), nullptr, h->sleep.get()},
                    spec.terminationGracePeriodSeconds, p.child(name), errors);
  };
  hook(l.postStart, "postStart");
  hook(l.preStop, "preStop");
  if (l.stopSignal) validateStopSignal(*l.stopSignal, spec, p.child("stopSignal"), errors);
}

}  // namespace km::registry
