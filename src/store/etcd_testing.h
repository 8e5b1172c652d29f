// A real etcd of its own for a test: `etcd` of the PATH, or of KM_ETCD.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "store/etcd.h"
#include "store/store_testing.h"

namespace km::store {

class EtcdProcess {
 public:
  EtcdProcess() : port_(freePort()), peerPort_(freePort()) { start(); }
  ~EtcdProcess() { stop(SIGKILL); }

  static std::string program() {
    if (const char* given = ::getenv("KM_ETCD")) return given;
    for (const char* path : {"/usr/bin/etcd", "/usr/local/bin/etcd"}) {
      if (::access(path, X_OK) == 0) return path;
    }
    return "";
  }

  void start() {
    std::string client = url(), peer = "http://127.0.0.1:" + std::to_string(peerPort_);
    std::vector<std::string> args = {program(), "--data-dir", dir_ / "d", "--listen-client-urls", client,
                                     "--advertise-client-urls", client, "--listen-peer-urls", peer,
                                     "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
                                     "--unsafe-no-fsync", "--logger", "zap", "--log-outputs", dir_ / "log"};
    std::vector<char*> argv;
    for (std::string& a : args) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      int null = ::open("/dev/null", O_RDWR);
      ::dup2(null, 1);
      ::dup2(null, 2);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  void signal(int number) { ::kill(pid_, number); }
  void stop(int number) {
    if (pid_ <= 0) return;
    ::kill(pid_, number);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  EtcdOptions options() const {
    EtcdOptions o;
    o.endpoints = {url()};
    return o;
  }

 private:
  static int freePort() {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
  }

  TempDir dir_;
  int port_, peerPort_;
  pid_t pid_ = -1;
};

}  // namespace km::store
