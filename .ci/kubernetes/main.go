// Checks manifests without a cluster: decodes them strictly into the types of Kubernetes, wants every name in them to lead
// somewhere, and writes the configuration that they hold into a folder, for starling to check it.
//
//	go run . FILE FOLDER
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: kubernetes FILE FOLDER")
		os.Exit(2)
	}
	if err := check(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// manifests are what the file holds: a StatefulSet and what it names.
type manifests struct {
	configs  map[string]corev1.ConfigMap
	services map[string]corev1.Service
	set      appsv1.StatefulSet
}

func check(file, folder string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	m := manifests{configs: map[string]corev1.ConfigMap{}, services: map[string]corev1.Service{}}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		if err := m.read(document); err != nil {
			return err
		}
	}
	if err := errors.Join(m.service(), m.volumes(), m.labels()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "config.yaml"), []byte(m.configs["starling-config"].Data["config.yaml"]), 0o600)
}

func (m *manifests) read(document []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	strictly := func(into any) error {
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			return fmt.Errorf("%s: %w", kind.Kind, err)
		}
		return nil
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 ConfigMap":
		var c corev1.ConfigMap
		err := strictly(&c)
		m.configs[c.Name] = c
		return err
	case "v1 Service":
		var s corev1.Service
		err := strictly(&s)
		m.services[s.Name] = s
		return err
	case "apps/v1 StatefulSet":
		return strictly(&m.set)
	}
	return fmt.Errorf("nobody checks a %s %s", kind.APIVersion, kind.Kind)
}

// service: the one that the set names is there, and its ports are ports of a container.
func (m *manifests) service() error {
	s, ok := m.services[m.set.Spec.ServiceName]
	if !ok {
		return fmt.Errorf("there is no Service %q", m.set.Spec.ServiceName)
	}
	named := map[string]bool{}
	for _, c := range m.set.Spec.Template.Spec.Containers {
		for _, p := range c.Ports {
			named[p.Name] = true
		}
	}
	for _, p := range s.Spec.Ports {
		if !named[p.TargetPort.StrVal] {
			return fmt.Errorf("Service %s: no container has a port %q", s.Name, p.TargetPort.StrVal)
		}
	}
	return nil
}

// volumes: each that is mounted is there, each that is there is mounted, and each ConfigMap is in the file.
func (m *manifests) volumes() (err error) {
	pod, left := m.set.Spec.Template.Spec, map[string]bool{}
	for _, v := range pod.Volumes {
		left[v.Name] = true
		if v.ConfigMap == nil {
			continue
		}
		if _, ok := m.configs[v.ConfigMap.Name]; !ok {
			err = errors.Join(err, fmt.Errorf("volume %s: there is no ConfigMap %q", v.Name, v.ConfigMap.Name))
		}
	}
	for _, v := range m.set.Spec.VolumeClaimTemplates {
		left[v.Name] = true
	}
	for _, c := range pod.Containers {
		for _, mount := range c.VolumeMounts {
			if !left[mount.Name] {
				err = errors.Join(err, fmt.Errorf("%s: there is no volume %q, or it is mounted twice", mount.MountPath, mount.Name))
			}
			delete(left, mount.Name)
		}
	}
	for name := range left {
		err = errors.Join(err, fmt.Errorf("volume %s is not mounted", name))
	}
	return err
}

// labels: what selects Pods selects these.
func (m *manifests) labels() error {
	selectors := []map[string]string{m.set.Spec.Selector.MatchLabels}
	for _, s := range m.services {
		selectors = append(selectors, s.Spec.Selector)
	}
	for _, selector := range selectors {
		for key, value := range selector {
			if m.set.Spec.Template.Labels[key] != value {
				return fmt.Errorf("%s: %s selects no Pod of the StatefulSet", key, value)
			}
		}
	}
	return nil
}
