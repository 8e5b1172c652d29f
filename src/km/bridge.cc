#include "km/bridge.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace km {
namespace {

// One request to the kernel, answered by an acknowledgement.
class Request {
 public:
  Request(uint16_t type, uint16_t flags) {
    nlmsghdr h{};
    h.nlmsg_type = type;
    h.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    put(&h, sizeof h);
  }
  template <typename T>
  void body(const T& v) {
    put(&v, sizeof v);
  }
  size_t begin(uint16_t type) {
    size_t at = bytes_.size();
    rtattr a{0, type};
    put(&a, sizeof a);
    return at;
  }
  void end(size_t at) {
    auto length = static_cast<uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &length, sizeof length);
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
  }
  void attribute(uint16_t type, const void* p, size_t n) {
    size_t at = begin(type);
    put(p, n);
    end(at);
  }

  // 0, or an errno.
  int run() {
    auto length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof length);
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (fd.get() < 0) return errno;
    if (::send(fd.get(), bytes_.data(), bytes_.size(), 0) < 0) return errno;
    alignas(nlmsghdr) char answer[4096];
    ssize_t n = ::recv(fd.get(), answer, sizeof answer, 0);
    if (n < 0) return errno;
    auto* h = reinterpret_cast<nlmsghdr*>(answer);
    if (h->nlmsg_type != NLMSG_ERROR) return EPROTO;
    return -reinterpret_cast<nlmsgerr*>(NLMSG_DATA(h))->error;
  }

 private:
  void put(const void* p, size_t n) {
    const char* c = static_cast<const char*>(p);
    bytes_.insert(bytes_.end(), c, c + n);
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
  }
  std::vector<char> bytes_;
};

Status setUp(const std::string& name) {
  Request r(RTM_NEWLINK, 0);
  ifinfomsg i{};
  i.ifi_family = AF_UNSPEC;
  i.ifi_index = static_cast<int>(::if_nametoindex(name.c_str()));
  i.ifi_flags = IFF_UP;
  i.ifi_change = IFF_UP;
  r.body(i);
  if (int e = r.run(); e != 0) return errors::fromErrno(fmt::format("interface {} cannot be taken up", name), e);
  return {};
}

}  // namespace

Status ensureBridge(const std::string& name, const std::string& address, int prefixLength) {
  if (::if_nametoindex(name.c_str()) == 0) {
    Request r(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    ifinfomsg i{};
    i.ifi_family = AF_UNSPEC;
    r.body(i);
    r.attribute(IFLA_IFNAME, name.c_str(), name.size() + 1);
    size_t info = r.begin(IFLA_LINKINFO);
    r.attribute(IFLA_INFO_KIND, "bridge", 7);
    r.end(info);
    if (int e = r.run(); e != 0 && e != EEXIST) return errors::fromErrno(fmt::format("bridge {} cannot be made", name), e);
  }
  Request r(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  ifaddrmsg a{};
  a.ifa_family = AF_INET;
  a.ifa_prefixlen = static_cast<uint8_t>(prefixLength);
  a.ifa_index = ::if_nametoindex(name.c_str());
  r.body(a);
  in_addr ip{};
  if (::inet_pton(AF_INET, address.c_str(), &ip) != 1) return errors::failed(fmt::format("{} is no address", address));
  r.attribute(IFA_LOCAL, &ip, sizeof ip);
  r.attribute(IFA_ADDRESS, &ip, sizeof ip);
  if (int e = r.run(); e != 0 && e != EEXIST) return errors::fromErrno(fmt::format("bridge {} cannot have the address {}", name, address), e);
  KM_TRY(setUp("lo"));
  return setUp(name);
}

Status removeLink(const std::string& name) {
  unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return {};
  Request r(RTM_DELLINK, 0);
  ifinfomsg i{};
  i.ifi_family = AF_UNSPEC;
  i.ifi_index = static_cast<int>(index);
  r.body(i);
  if (int e = r.run(); e != 0 && e != ENODEV) return errors::fromErrno(fmt::format("interface {} cannot be removed", name), e);
  return {};
}

}  // namespace km
