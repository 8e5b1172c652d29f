// A server for trials by hand: http_bench [THREADS [PORT [BODY BYTES]]]. /body answers with a cached body,
// /echo with the request's, /watch streams a line a second until the client goes.
#include <stdio.h>

#include <condition_variable>
#include <mutex>

#include "http/server.h"
#include "http/test_certificates.h"

namespace km::http {
namespace {

class BenchHandler final : public Handler {
 public:
  explicit BenchHandler(size_t size) : body_(std::make_shared<const std::string>(size, 'x')) {}
  void handle(std::shared_ptr<Exchange> exchange) override {
    const Request& r = exchange->request();
    if (r.path == "/echo") {
      exchange->respond(200, {{"content-type", "text/plain"}}, Body(r.body));
    } else if (r.path == "/watch") {
      exchange->start(200, {{"content-type", "text/plain"}});
      auto timer = std::make_shared<async::Timer>(exchange->loop());
      exchange->onClose([timer] { timer->cancel(); });
      tick(exchange, timer);
    } else {
      exchange->respond(200, {{"content-type", "application/json"}, {"cache-control", "no-cache, private"}},
                        Body(body_));
    }
  }

 private:
  static void tick(const std::shared_ptr<Exchange>& exchange, const std::shared_ptr<async::Timer>& timer) {
    exchange->write("tick\n");
    std::weak_ptr<Exchange> weak = exchange;
    std::weak_ptr<async::Timer> weakTimer = timer;
    timer->start(std::chrono::seconds(1), [weak, weakTimer] {
      auto x = weak.lock();
      auto t = weakTimer.lock();
      if (x && t) tick(x, t);
    });
  }
  std::shared_ptr<const std::string> body_;
};

int run(int threads, int port, size_t size) {
  async::LoopGroup loops(threads, "http");
  TestPair ca = makeTestCertificate("ca", {}, {}, nullptr);
  TestPair pair = makeTestCertificate("localhost", {}, {"DNS:localhost", "IP:127.0.0.1"}, &ca);
  async::TlsServerOptions o;
  o.certificatePem = pair.certificatePem;
  o.keyPem = pair.keyPem;
  auto tls = async::TlsContext::server(o);
  if (!tls.ok()) {
    fprintf(stderr, "%s\n", tls.status().message().c_str());
    return 1;
  }
  auto server = std::make_unique<Server>(loops, std::make_shared<BenchHandler>(size));
  auto https = server->listen("127.0.0.1", port, *tls);
  auto http = server->listen("127.0.0.1", port == 0 ? 0 : port + 1, nullptr);
  if (!https.ok() || !http.ok()) {
    fprintf(stderr, "%s\n", (https.ok() ? http : https).status().message().c_str());
    return 1;
  }
  printf("https %d, http %d\n", *https, *http);
  fflush(stdout);
  async::Loop main;
  async::Signals signals(main, {2, 15},
                         [&](int) { server->shutdown(std::chrono::seconds(5), [&] { main.stop(); }); });
  main.run();
  server.reset();
  return 0;
}

}  // namespace
}  // namespace km::http

int main(int argc, char** argv) {
  return km::http::run(argc > 1 ? atoi(argv[1]) : 2, argc > 2 ? atoi(argv[2]) : 0,
                       argc > 3 ? atoi(argv[3]) : 1024);
}
