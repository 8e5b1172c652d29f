// What follows from services in other objects: an IPAddress for each cluster IP, by which servers that share a
// store know what is taken, and no Endpoints left behind by a service that went.
//
// Any thread; callbacks come on the threads of Operations.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apiserver/operations.h"
#include "registry/ip.h"

namespace km::apiserver {

class ServiceAddresses {
 public:
  // Must outlive all writes to services.
  explicit ServiceAddresses(Operations& operations) : operations_(operations) {}

  // Puts right what an end at the wrong moment left: makes the objects that services lack, removes those whose
  // service is gone or has another address. Blocks.
  void repair();
  // Makes the objects of the addresses that `service` has and `old` (may be null) has not: all or none. Where one
  // is there already the error's reason is registry::kTakenElsewhere.
  void claim(const api::Object& service, const api::Object* old, std::function<void(Status)> next);
  // Removes the objects of the addresses that `service` has and `other` (may be null) has not.
  void release(const api::Object& service, const api::Object* other, std::function<void()> next);
  // The service is gone: so go its addresses and its endpoints.
  void deleted(const api::Object& service, std::function<void()> next);
  // Whether the address has an object.
  bool isTaken(const registry::Ip& ip) const;

 private:
  struct Owner {
    std::string ns, name;
    bool operator==(const Owner&) const = default;
  };

  void create(const Owner& owner, std::vector<std::string> ips, std::function<void(Status)> next);
  void remove(const Owner& owner, std::vector<std::string> ips, std::function<void()> next);
  bool owns(const Owner& owner, const std::string& ip) const;
  CallPtr callFor(std::string_view group, std::string_view resource, std::string_view verb, std::string name) const;

  Operations& operations_;
};

}  // namespace km::apiserver
